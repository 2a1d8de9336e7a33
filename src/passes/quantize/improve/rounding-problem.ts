// The choice of rounding of one layer as numbers: weights W / s in rows [groups, M, K], the whole part
// and what is left of each, and what the calibration data says of its inputs, x as the quantised layer
// gets them, x_f as the float layer did: G = sum x x^T [groups, K, K] and D = sum (x - x_f) x^T.

import { constantData } from '../../../ops/index.ts';
import { integerRange, isQuantized, type QuantizedType } from '../../../tensor/affine.ts';
import { packCodes } from '../../../tensor/block-packing.ts';
import { elementCount } from '../../../tensor/dtype.ts';
import { decodeElements } from '../../../tensor/elements.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import type { QuantizedLayer } from './quantized-layer.ts';
import type { Unfolding } from './unfold.ts';

export interface RoundingProblem {
  readonly unfolding: Unfolding;
  /** In rows, [groups, M, K] each: the float weight, its scales, */
  readonly weight: Float32Array;
  readonly scales: Float32Array;
  /** the integer below, zero point taken off, so that it and the next one are both in range, */
  readonly below: Float32Array;
  /** and what is left: 0.5 and more is nearer to the integer above. */
  readonly rest: Float32Array;
}

export interface Sums {
  readonly gram: Float32Array;
  readonly drift: Float32Array;
  /** How many x there were. */
  rows: number;
}

export async function roundingProblem(
  layer: QuantizedLayer,
  unfolding: Unfolding,
): Promise<RoundingProblem | string> {
  const { dequantize, codes, weight } = layer;
  const type = codes.dtype as QuantizedType;
  if (!isQuantized(type) || type.startsWith('float8')) return `its weight is ${type}`;
  const scales = await parameter(layer, 1);
  const zeros = dequantize.input(2) ? await parameter(layer, 2) : undefined;
  if (!scales || (dequantize.input(2) && !zeros)) return 'its scales are not constant';
  const values = decodeElements(weight.dtype, await weight.load(), weight.size) as Float32Array;
  const { min, max } = rangeOf(type, await codesOf(layer));
  const order = rowOrder(unfolding);
  const pick = (from: (i: number) => number) =>
    Float32Array.from({ length: values.length }, (_, row) => from(order(row)));
  const stretched = pick(scales);
  const rows = pick((i) => values[i] as number);
  const zero = zeros ? pick(zeros) : new Float32Array(values.length);
  const below = rows.map((w, i) => {
    const z = zero[i] as number;
    const floor = Math.floor(w / (stretched[i] as number));
    return Math.max(min - z, Math.min(max - 1 - z, floor));
  });
  const rest = rows.map((w, i) => w / (stretched[i] as number) - (below[i] as number));
  return { unfolding, weight: rows, scales: stretched, below, rest };
}

/** Symmetric weights keep off the smallest integer, as their quantiser did. */
function rangeOf(type: QuantizedType, codes: ArrayLike<number>) {
  const full = integerRange({ type, symmetric: false });
  let min = full.max;
  for (let i = 0; i < codes.length; i++) min = Math.min(min, codes[i] as number);
  return { min: min === full.min ? min : full.min + (type.startsWith('u') ? 0 : 1), max: full.max };
}

async function codesOf({ codes }: QuantizedLayer): Promise<ArrayLike<number>> {
  const data = constantData(codes) as Tensor;
  return decodeElements(data.dtype, await data.load(), data.size) as Int8Array;
}

/** The number that an input of DequantizeLinear has for each element of the weight. */
async function parameter(
  { dequantize, codes }: QuantizedLayer,
  index: number,
): Promise<((element: number) => number) | undefined> {
  const value = dequantize.input(index);
  const data = value && constantData(value);
  const shape = codes.data?.shape ?? [];
  if (!data) return undefined;
  const values = decodeElements(data.dtype, await data.load(), data.size) as Float32Array;
  if (data.size === 1) return () => values[0] as number;
  const axis = (dequantize.int('axis', 1) + shape.length) % shape.length;
  const inner = elementCount(shape.slice(axis + 1));
  const size = shape[axis] ?? 1;
  const block = dequantize.int('block_size', 0);
  if (block === 0) return (i) => values[Math.floor(i / inner) % size] as number;
  const blocks = Math.ceil(size / block);
  return (i) => {
    const along = Math.floor(i / inner) % size;
    const outer = Math.floor(i / (inner * size));
    return values[(outer * blocks + Math.floor(along / block)) * inner + (i % inner)] as number;
  };
}

/** Where the element of a row lies in the weight. */
function rowOrder({ isTurned, outputs, inputs }: Unfolding): (row: number) => number {
  return isTurned ? (i) => (i % inputs) * outputs + Math.floor(i / inputs) : (i) => i;
}

/** The integers of a weight, rounded up where `up` is 1, in the form the graph holds them. */
export async function roundedWeight(
  layer: QuantizedLayer,
  { unfolding, below }: RoundingProblem,
  up: ArrayLike<number>,
): Promise<Tensor> {
  const zeros = layer.dequantize.input(2) ? await parameter(layer, 2) : undefined;
  const type = layer.codes.dtype as QuantizedType;
  const order = rowOrder(unfolding);
  const codes = new Int16Array(below.length);
  for (let i = 0; i < below.length; i++) {
    const at = order(i);
    codes[at] = (below[i] as number) + (up[i] as number) + (zeros?.(at) ?? 0);
  }
  const bits = type.endsWith('4') ? 4 : type.endsWith('2') ? 2 : 8;
  const bytes = Uint8Array.from(codes, (code) => code & (2 ** bits - 1));
  return Tensor.fromBytes(type, layer.weight.shape, packCodes(bytes, bits));
}
