// Values of a model as calibration data makes them, as few elements as a comparison needs.

import type { Model } from '../../graph/index.ts';
import { isFloat } from '../../tensor/dtype.ts';
import { elementsOf } from '../../tensor/elements.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Calibration } from './context.ts';

/** The elements of a float tensor; none of others. */
export function floatsOf(tensor: Tensor): Float32Array {
  if (!isFloat(tensor.dtype)) return new Float32Array(0);
  return elementsOf(tensor) as Float32Array;
}

/** Elements of a value that are kept for comparison. */
const KEPT = 4096;

/** Evenly chosen elements of each value, of some batches. */
export async function sketchAll(
  model: Model,
  names: readonly string[],
  calibration: Calibration,
  batches: number,
): Promise<Map<string, Float32Array>> {
  const parts = new Map<string, Float32Array[]>();
  await calibration.observe(
    model,
    names,
    (name, tensor) => {
      const list = parts.get(name);
      if (list) list.push(sketch(tensor));
      else parts.set(name, [sketch(tensor)]);
    },
    batches,
  );
  return new Map([...parts].map(([name, list]) => [name, joined(list)]));
}

function sketch(tensor: Tensor): Float32Array {
  const values = floatsOf(tensor);
  if (values.length <= KEPT) return Float32Array.from(values);
  // An odd stride meets all residues of the powers of two that sizes are made of.
  const step = Math.ceil(values.length / KEPT) | 1;
  return Float32Array.from({ length: Math.floor(values.length / step) }, (_, i) => {
    return values[i * step] as number;
  });
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** |b - a| / |a|; infinite where a number is finite only in `a`. */
export function distance(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (!a || !b || a.length !== b.length) return 0;
  let [difference, size] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    if (!Number.isFinite(x)) continue;
    if (!Number.isFinite(y)) return Number.POSITIVE_INFINITY;
    difference += (y - x) ** 2;
    size += x * x;
  }
  if (difference === 0) return 0;
  return Math.sqrt(difference / Math.max(size, Number.MIN_VALUE));
}
