// The numbers of a weight, whatever they are stored as: integers are what a DequantizeLinear or an
// integer convolution makes of them.

import type { Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { elementCount, isFloat, isInteger } from '../../tensor/dtype.ts';
import { decodeElements } from '../../tensor/elements.ts';
import type { Tensor } from '../../tensor/tensor.ts';

export type Numbers = Float32Array | Float64Array;

/** Undefined for what is no weight: strings, booleans, indices. */
export async function numbersOf(value: Value): Promise<Numbers | undefined> {
  const data = value.data ?? constantData(value);
  if (!data || !(isFloat(data.dtype) || isInteger(data.dtype)) || data.dtype === 'int64') {
    return undefined;
  }
  const elements = decodeElements(data.dtype, await data.load(), data.size);
  if (elements instanceof Float32Array || elements instanceof Float64Array) return elements;
  const numbers = Float32Array.from(elements as ArrayLike<number>);
  const scaled = scaleOf(value);
  if (scaled) await dequantize(numbers, data, scaled);
  return numbers;
}

interface Scaled {
  readonly scale: Value;
  readonly zero: Value | undefined;
  /** Of a scale per channel. */
  readonly axis: number;
}

/** Where integer operators keep scale and zero point of a weight. */
const PLACES: Readonly<Record<string, readonly [weight: number, scale: number, zero: number]>> = {
  DequantizeLinear: [0, 1, 2],
  QLinearConv: [3, 4, 5],
  QLinearMatMul: [3, 4, 5],
  DynamicQuantizeMatMul: [1, 2, 3],
  MatMulIntegerToFloat: [1, 3, 5],
};

function scaleOf(value: Value): Scaled | undefined {
  for (const { node, index } of value.uses) {
    const places = PLACES[node.op];
    if (places?.[0] !== index) continue;
    const [, at, zeroAt] = places;
    const scale = node.inputs[at];
    if (scale) return { scale, zero: node.inputs[zeroAt], axis: axisOf(node, value) };
  }
  return undefined;
}

function axisOf(node: Node, value: Value): number {
  const rank = value.shape?.length ?? 0;
  if (node.op === 'QLinearConv') return 0;
  const axis = node.op === 'DequantizeLinear' ? node.int('axis', 1) : -1;
  return axis < 0 ? axis + rank : axis;
}

async function dequantize(numbers: Float32Array, data: Tensor, scaled: Scaled): Promise<void> {
  const scales = await smallNumbers(scaled.scale);
  const zeros = (scaled.zero && (await smallNumbers(scaled.zero))) ?? [0];
  if (!scales) return;
  const inner = elementCount(data.shape.slice(scaled.axis + 1));
  const size = data.shape[scaled.axis] ?? 1;
  const isFor = (list: ArrayLike<number>) => list.length === 1 || list.length === size;
  // Scales of blocks: what is stored is near enough to rank by.
  if (!isFor(scales) || !isFor(zeros)) return;
  for (let i = 0; i < numbers.length; i++) {
    const channel = Math.floor(i / inner) % size;
    const scale = scales[scales.length === 1 ? 0 : channel] as number;
    const zero = zeros[zeros.length === 1 ? 0 : channel] as number;
    numbers[i] = ((numbers[i] as number) - zero) * scale;
  }
}

async function smallNumbers(value: Value): Promise<ArrayLike<number> | undefined> {
  const data = value.data ?? constantData(value);
  if (!data) return undefined;
  return decodeElements(data.dtype, await data.load(), data.size) as ArrayLike<number>;
}
