// Constants in half precision: what would be lost is found out in one reading, tensor by tensor, and
// the halves are made when somebody writes them.

import type { Graph, Model, Value } from '../../graph/index.ts';
import { allGraphs } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { floatsToBfloat16s, floatsToHalves } from '../../tensor/float16.ts';
import { Tensor, viewOf } from '../../tensor/tensor.ts';
import type { Half } from './half-ops.ts';

/** The largest finite numbers, and the smallest above zero. */
export const LIMITS = {
  float16: { max: 65504, tiny: 2 ** -24, normal: 2 ** -14 },
  bfloat16: { max: 2 ** 127 * (2 - 2 ** -7), tiny: 2 ** -133, normal: 2 ** -126 },
} as const;

/** Numbers from here on stand for infinity: they mask, and mean nothing else. */
export const ENDLESS = 1e8;

export interface ConstantRange {
  readonly size: number;
  /** Numbers that half cannot hold: finite in float32, infinite in half. */
  readonly over: number;
  /** The smallest magnitude among those. */
  readonly leastOver: number;
  /** Numbers other than zero that half rounds to zero. */
  readonly flushed: number;
  /** Numbers other than zero that half holds with an error of more than a percent. */
  readonly coarse: number;
  readonly nans: number;
}

/** Whether all that is beyond half stands for infinity. */
export function isMask({ over, leastOver }: ConstantRange): boolean {
  return over > 0 && leastOver >= ENDLESS;
}

/** Reads the constant once, 8 MiB at a time. */
export async function measureConstant(data: Tensor, half: Half): Promise<ConstantRange> {
  const found = { over: 0, leastOver: Number.POSITIVE_INFINITY, flushed: 0, coarse: 0, nans: 0 };
  for await (const chunk of data.chunks()) {
    measure(viewOf('float32', chunk) as Float32Array, half, found);
  }
  return { size: data.size, ...found };
}

type Counts = { -readonly [key in Exclude<keyof ConstantRange, 'size'>]: number };

/** Compares bits, which are in the order of the magnitudes: most weights are settled by that. */
function measure(values: Float32Array, half: Half, found: Counts): void {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const limits = Float32Array.of(LIMITS[half].normal * SAFE, LIMITS[half].max);
  const [floor = 0, max = 0] = new Int32Array(limits.buffer);
  for (let i = 0; i < bits.length; i++) {
    const magnitude = (bits[i] as number) & 0x7fffffff;
    if ((magnitude > floor && magnitude < max) || magnitude === 0) continue;
    const size = Math.abs(values[i] as number);
    if (Number.isNaN(size)) found.nans += 1;
    else if (magnitude > floor) countLarge(size, half, found);
    else countSmall(size, half, found);
  }
}

/** Subnormal numbers down to this part of the least normal one have errors below a percent. */
const SAFE = 0.05;

function countLarge(size: number, half: Half, found: Counts): void {
  // From the middle between the largest number and the next on, rounding makes infinity of it.
  const ceiling = half === 'float16' ? 65520 : 2 ** 127 * (2 - 2 ** -8);
  if (size < ceiling || size === Number.POSITIVE_INFINITY) return;
  found.over += 1;
  found.leastOver = Math.min(found.leastOver, size);
}

function countSmall(size: number, half: Half, found: Counts): void {
  const { tiny } = LIMITS[half];
  if (size <= tiny / 2) found.flushed += 1;
  else if (Math.abs(Math.round(size / tiny) * tiny - size) > size / 100) found.coarse += 1;
}

/**
 * A float32 tensor in half. Finite numbers stay finite: those beyond half that get here are bounds and
 * masks, as large as they can be.
 */
export function halved(data: Tensor, half: Half): Tensor {
  const convert = (bytes: Uint8Array): Uint8Array => {
    const singles = viewOf('float32', bytes) as Float32Array;
    const bits = half === 'float16' ? floatsToHalves(singles) : floatsToBfloat16s(singles);
    keepFinite(bits, singles, half);
    return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
  };
  // Small ones at once: reductions of sizes and the like are looked at by passes to come.
  if (!data.isDerived && data.byteLength <= EAGER_BYTES) {
    return Tensor.fromBytes(half, data.shape, convert(data.bytes()));
  }
  return new Tensor(half, data.shape, {
    byteLength: data.size * 2,
    compute: async () => convert(await data.load()),
  });
}

const EAGER_BYTES = 1 << 16;

/** Takes back infinities that rounding made. */
function keepFinite(bits: Uint16Array, singles: Float32Array, half: Half): void {
  const infinity = half === 'float16' ? 0x7c00 : 0x7f80;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = (bits[i] as number) & 0x7fff;
    if (magnitude === infinity && Number.isFinite(singles[i] as number))
      bits[i] = (bits[i] as number) - 1;
  }
}

/** Where each constant lives: an initializer in its graph, a Constant in that of its node. */
export function constantHomes(model: Model): Map<Value, Graph> {
  const homes = new Map<Value, Graph>();
  for (const graph of allGraphs(model)) {
    for (const value of graph.initializers) if (graph.isConstant(value)) homes.set(value, graph);
    for (const { op, domain, outputs } of graph.nodes) {
      const [output] = outputs;
      if (op === 'Constant' && domain === '' && output) homes.set(output, graph);
    }
  }
  return homes;
}

/** The float32 data of a constant. */
export function singleData(value: Value): Tensor | undefined {
  const data = constantData(value);
  return data?.dtype === 'float32' ? data : undefined;
}
