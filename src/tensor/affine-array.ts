// Whole arrays through the affine map of affine.ts: one scale and zero point for all elements, or one
// for each index along an axis. Two passes over the bytes, range and codes, 8 MiB at a time, so that
// memory holds the codes and never the floats. Rounding as onnxruntime's own tools do it:
// clip(round_half_even(float32(x / scale)) + zeroPoint).

import { type AffineOptions, affineOf, integerRange } from './affine.ts';
import { packCodes } from './block-packing.ts';
import { byteLengthOf, elementCount } from './dtype.ts';
import { decodeElements } from './elements.ts';
import { Tensor } from './tensor.ts';

export interface ArrayScheme extends AffineOptions {
  /** Codes of int4 come one to a byte. */
  readonly type: 'int4' | 'int8' | 'uint8' | 'int16' | 'uint16';
  /** The axis with a scale for each index; undefined: one scale for all. */
  readonly axis?: number | undefined;
}

type Codes = Int8Array | Uint8Array | Int16Array | Uint16Array;
type Floats = Float32Array | Float64Array;

/** One per index along the axis. */
export interface Affines {
  readonly scales: Float32Array;
  readonly zeroPoints: Codes;
}

/** Called where an element is NaN or infinite; throws. */
export type OnNotFinite = () => never;

/** The scale and the zero point of each channel. */
export async function affinesOf(
  tensor: Tensor,
  scheme: ArrayScheme,
  onNotFinite: OnNotFinite,
): Promise<Affines> {
  const layout = layoutOf(tensor, scheme.axis);
  const lows = new Float64Array(layout.channels);
  const highs = new Float64Array(layout.channels);
  for await (const { values, start } of pieces(tensor)) {
    const allFinite =
      layout.inner === 1 && layout.channels > 1
        ? widenColumns(values, start % layout.channels, lows, highs)
        : widenRuns(values, start, layout, lows, highs);
    if (!allFinite) onNotFinite();
  }
  const scales = new Float32Array(layout.channels);
  const zeroPoints = emptyCodes(scheme.type, layout.channels);
  for (let c = 0; c < layout.channels; c++) {
    const range = { min: lows[c] as number, max: highs[c] as number };
    const { scale, zeroPoint } = affineOf(range, scheme);
    scales[c] = scale;
    zeroPoints[c] = zeroPoint;
  }
  return { scales, zeroPoints };
}

/** The codes of all elements, in their order. */
export async function codesOf(
  tensor: Tensor,
  scheme: ArrayScheme,
  affines: Affines,
): Promise<Codes> {
  const layout = layoutOf(tensor, scheme.axis);
  const codes = emptyCodes(scheme.type, tensor.size);
  // What the type holds: a reduced or symmetric range is one of the scale, not of the codes.
  const { min, max } = integerRange({ type: scheme.type, symmetric: false });
  const encode = { codes, affines, min, max };
  for await (const { values, start } of pieces(tensor)) {
    if (layout.inner === 1 && layout.channels > 1) encodeColumns(values, start, layout, encode);
    else encodeRuns(values, start, layout, encode);
  }
  return codes;
}

/** Codes as a tensor holds them: those of int4 two to a byte. */
export function codeBytes(type: ArrayScheme['type'], codes: Codes): Uint8Array {
  const bytes = bytesOf(codes);
  return type === 'int4'
    ? packCodes(
        bytes.map((code) => code & 0xf),
        4,
      )
    : bytes;
}

/** The tensor as [outer, channels, inner], row by row. */
interface Layout {
  readonly channels: number;
  readonly inner: number;
}

function layoutOf({ shape, size }: Tensor, axis: number | undefined): Layout {
  if (axis === undefined) return { channels: 1, inner: size };
  return { channels: shape[axis] ?? 1, inner: elementCount(shape.slice(axis + 1)) };
}

interface Piece {
  readonly values: Floats;
  /** Elements before it. */
  readonly start: number;
}

async function* pieces(tensor: Tensor): AsyncGenerator<Piece> {
  const bytesEach = byteLengthOf(tensor.dtype, 1);
  let start = 0;
  for await (const bytes of tensor.chunks()) {
    const count = bytes.byteLength / bytesEach;
    yield { values: decodeElements(tensor.dtype, bytes, count) as Floats, start };
    start += count;
  }
}

function emptyCodes(type: ArrayScheme['type'], length: number): Codes {
  if (type === 'int8' || type === 'int4') return new Int8Array(length);
  if (type === 'uint8') return new Uint8Array(length);
  return type === 'int16' ? new Int16Array(length) : new Uint16Array(length);
}

/** Channels side by side: element i belongs to channel (first + i) % channels. */
function widenColumns(
  values: Floats,
  first: number,
  lows: Float64Array,
  highs: Float64Array,
): boolean {
  const channels = lows.length;
  let zero = 0;
  for (let i = 0, c = first; i < values.length; i++) {
    const value = values[i] as number;
    if (value < (lows[c] as number)) lows[c] = value;
    if (value > (highs[c] as number)) highs[c] = value;
    // NaN from here on, if the value is not finite.
    zero += value * 0;
    c = c + 1 === channels ? 0 : c + 1;
  }
  return zero === 0;
}

/** Runs of `inner` elements that belong to one channel. */
function widenRuns(
  values: Floats,
  start: number,
  layout: Layout,
  lows: Float64Array,
  highs: Float64Array,
): boolean {
  let zero = 0;
  for (const { from, to, channel } of runs(values.length, start, layout)) {
    let low = lows[channel] as number;
    let high = highs[channel] as number;
    for (let i = from; i < to; i++) {
      const value = values[i] as number;
      if (value < low) low = value;
      if (value > high) high = value;
      zero += value * 0;
    }
    lows[channel] = low;
    highs[channel] = high;
  }
  return zero === 0;
}

interface Run {
  readonly from: number;
  readonly to: number;
  readonly channel: number;
}

function* runs(length: number, start: number, { channels, inner }: Layout): Generator<Run> {
  for (let from = 0; from < length; ) {
    const at = start + from;
    const to = Math.min(length, from + inner - (at % inner));
    yield { from, to, channel: Math.floor(at / inner) % channels };
    from = to;
  }
}

interface Encode {
  readonly codes: Codes;
  readonly affines: Affines;
  readonly min: number;
  readonly max: number;
}

/** Adding and taking away 1.5 · 2^52 rounds to the nearest whole number, halves to the even one. */
const ROUNDER = 2 ** 52 * 1.5;

function encodeColumns(values: Floats, start: number, { channels }: Layout, into: Encode): void {
  const { codes, affines, min, max } = into;
  const { scales, zeroPoints } = affines;
  for (let i = 0, c = start % channels; i < values.length; i++) {
    const quotient = Math.fround((values[i] as number) / (scales[c] as number));
    const code = quotient + ROUNDER - ROUNDER + (zeroPoints[c] as number);
    codes[start + i] = code < min ? min : code > max ? max : code;
    c = c + 1 === channels ? 0 : c + 1;
  }
}

function encodeRuns(values: Floats, start: number, layout: Layout, into: Encode): void {
  const { codes, affines, min, max } = into;
  for (const { from, to, channel } of runs(values.length, start, layout)) {
    const scale = affines.scales[channel] as number;
    const zeroPoint = affines.zeroPoints[channel] as number;
    for (let i = from; i < to; i++) {
      const quotient = Math.fround((values[i] as number) / scale);
      const code = quotient + ROUNDER - ROUNDER + zeroPoint;
      codes[start + i] = code < min ? min : code > max ? max : code;
    }
  }
}

export interface QuantizedArray {
  /** Of the tensor's shape. */
  readonly codes: Tensor;
  /** [channels], or a scalar where there is one scale for all. */
  readonly scales: Tensor;
  readonly zeroPoints: Tensor;
}

/** A quantised tensor, each part computed when somebody reads it. */
export function quantizeArray(
  tensor: Tensor,
  scheme: ArrayScheme,
  onNotFinite: OnNotFinite,
): QuantizedArray {
  const { type, axis } = scheme;
  let found: Promise<Affines> | undefined;
  const affines = () => {
    found ??= affinesOf(tensor, scheme, onNotFinite);
    return found;
  };
  const shape = axis === undefined ? [] : [tensor.shape[axis] ?? 1];
  const derived = (
    dtype: Tensor['dtype'],
    of: readonly number[],
    values: () => Promise<Floats | Codes>,
  ) =>
    new Tensor(dtype, of, {
      byteLength: byteLengthOf(dtype, elementCount(of)),
      compute: async () => bytesOf(await values()),
    });
  return {
    codes: derived(type, tensor.shape, async () => codesOf(tensor, scheme, await affines())),
    scales: derived('float32', shape, async () => (await affines()).scales),
    // The middle of a symmetric range of signed codes is 0: nothing needs to be read to know it.
    zeroPoints:
      scheme.symmetric && !type.startsWith('u')
        ? Tensor.of(type, shape, emptyCodes(type, elementCount(shape)))
        : derived(type, shape, async () => (await affines()).zeroPoints),
  };
}

function bytesOf(values: Floats | Codes): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
