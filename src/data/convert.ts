// From the numbers of an array to those a model input takes: moved axes, scaled and normalised
// images, the input's type.

import { channelsDiffer, noColours, typeDoesNotFit } from '../errors/data.ts';
import { canCastTo, castElements } from '../tensor/cast.ts';
import { type DType, dtypeInfo, elementCount, isFloat, type TypedArray } from '../tensor/dtype.ts';
import { elementsOf, toNumbers } from '../tensor/elements.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Arrangement, permuted } from './arrange.ts';
import type { DataOptions, Normalization } from './options.ts';
import type { ArraySource } from './source.ts';

export interface Conversion {
  /** Rows of the source as the input takes them, [rows, …]. */
  apply(rows: Tensor): Tensor;
  /** What it does, in words; empty when nothing. */
  readonly text: string;
}

/** Plans the conversion of an array for an input of type `dtype`; throws where types do not go. */
export function planConversion(
  source: ArraySource,
  input: { readonly name: string; readonly dtype: DType },
  arrangement: Arrangement,
  options: DataOptions,
): Conversion {
  const { dtype } = input;
  checkTypes(source, input);
  const factor = imageFactor(source, dtype, options);
  const normalize = isFloat(dtype) && isImage(source) ? options.normalize : undefined;
  const affine = affineOf(factor, normalize, arrangement.shape);
  const isReversed = options.channels === 'bgr' && isImage(source);
  const cast = source.dtype !== dtype;
  const done = [
    arrangement.permute ? `channels ${arrangement.permute[0] === 2 ? 'first' : 'last'}` : '',
    isReversed ? 'blue first' : '',
    factor === 1 ? '' : `scaled by ${Number(factor.toPrecision(6))}`,
    normalize ? `normalised (mean ${normalize.mean}, std ${normalize.std})` : '',
    cast ? `as ${dtype}` : '',
  ];
  return {
    text: done.filter(Boolean).join(', '),
    apply(rows) {
      const shape = [rows.shape[0] ?? 1, ...arrangement.shape];
      if (!cast && !affine && !arrangement.permute && !isReversed) return rows.reshape(shape);
      if (dtype === 'string') return rows.reshape(shape);
      let values = elementsOf(rows);
      if (arrangement.permute) values = permute(values, rows.shape, arrangement.permute);
      if (isReversed) values = reverseChannels(values, arrangement.shape);
      if (affine) values = affine(values);
      return Tensor.fromBytes(dtype, shape, encode(values, source, input));
    },
  };
}

function checkTypes(source: ArraySource, input: { name: string; dtype: DType }): void {
  const { kind } = dtypeInfo(source.dtype);
  const isNumber = kind !== 'string' && kind !== 'complex';
  if (source.dtype !== input.dtype && !(isNumber && canCastTo(input.dtype))) {
    throw typeDoesNotFit(source.where, source.dtype, input.name, input.dtype);
  }
}

/** Unsigned bytes and 16-bit samples with two axes or more are images. */
function imageFactor(source: ArraySource, dtype: DType, options: DataOptions): number {
  const range = source.dtype === 'uint8' ? 255 : source.dtype === 'uint16' ? 65535 : undefined;
  if (!range || !isFloat(dtype)) return 1;
  if (options.scale === undefined && !isImage(source)) return 1;
  return (options.scale ?? 1) / range;
}

/** Samples of two axes or more. */
export function isImage(source: ArraySource): boolean {
  return source.shape.length >= 3;
}

type Affine = (values: TypedArray) => TypedArray;

/** x * factor, then (x - mean) / std, with one number each or one per channel. */
function affineOf(
  factor: number,
  normalize: Normalization | undefined,
  shape: readonly number[],
): Affine | undefined {
  if (factor === 1 && !normalize) return undefined;
  const mean = normalize?.mean ?? [0];
  const std = normalize?.std ?? [1];
  const channels = mean.length;
  const axis = channels === 1 || shape[0] === channels ? 0 : shape.length - 1;
  if (channels > 1 && shape[axis] !== channels) throw channelsDiffer(channels, shape);
  // Elements that one step along the channel axis spans.
  const inner =
    channels === 1 ? Math.max(1, elementCount(shape)) : elementCount(shape.slice(axis + 1));
  return (values) => {
    const result = new Float32Array(values.length);
    const numbers = toNumbers(values);
    for (let at = 0, channel = 0; at < values.length; at += inner) {
      const [m, s] = [mean[channel] as number, std[channel] as number];
      for (let i = at; i < at + inner; i++) result[i] = ((numbers[i] as number) * factor - m) / s;
      channel = (channel + 1) % channels;
    }
    return result;
  };
}

/** RGB to BGR, of samples [3, H, W] or [H, W, 3]. */
function reverseChannels(values: TypedArray, shape: readonly number[]): TypedArray {
  const axis = shape.length === 3 ? [0, 2].find((one) => shape[one] === 3) : undefined;
  if (axis === undefined) throw noColours(shape);
  const inner = axis === 0 ? elementCount(shape.slice(1)) : 1;
  const result = values.slice();
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % 3;
    result[i] = values[i + (2 - 2 * channel) * inner] as never;
  }
  return result;
}

/** Moves the axes of each row. */
function permute(
  values: TypedArray,
  shape: readonly number[],
  order: readonly number[],
): TypedArray {
  const [rows = 1, ...sample] = shape;
  const size = elementCount(sample);
  const target = permuted(sample, order);
  const strides = permuted(
    sample.map((_, axis) => elementCount(sample.slice(axis + 1))),
    order,
  );
  const [, d1 = 1, d2 = 1] = target;
  const [s0 = 0, s1 = 0, s2 = 0] = strides;
  const result = values.slice();
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < size; i++) {
      const k = i % d2;
      const j = Math.floor(i / d2) % d1;
      const at = Math.floor(i / (d1 * d2)) * s0 + j * s1 + k * s2;
      result[row * size + i] = values[row * size + at] as never;
    }
  }
  return result;
}

/** The packed bytes of numbers in the input's type; throws where a number does not go into it. */
function encode(
  values: TypedArray,
  source: ArraySource,
  input: { name: string; dtype: DType },
): Uint8Array {
  const { dtype } = input;
  const isOwn = values instanceof dtypeInfo(dtype).array;
  const isSame = isOwn && (dtype === source.dtype || dtype === 'float32');
  const cast = isSame
    ? values
    : castElements(dtype, values, (value) => {
        const where = `${source.where}: value ${value}`;
        throw typeDoesNotFit(where, source.dtype, input.name, dtype);
      });
  return new Uint8Array(cast.buffer, cast.byteOffset, cast.byteLength);
}
