// Reordering the axes of a tensor in memory: y[i0, i1 …] = x at the same indices put in the order of
// `perm` (ONNX Transpose).

import assert from 'node:assert/strict';
import { dtypeInfo, elementCount } from './dtype.ts';
import { Tensor } from './tensor.ts';

/** A tensor whose axis i is axis perm[i] of the given one; elements of whole bytes only. */
export function transposeTensor(tensor: Tensor, perm: readonly number[]): Tensor {
  const { dtype } = tensor;
  const shape = perm.map((axis) => tensor.shape[axis] as number);
  const isSameOrder = perm
    .filter((axis) => tensor.shape[axis] !== 1)
    .every((a, i, all) => i === 0 || a > (all[i - 1] as number));
  if (isSameOrder) return tensor.reshape(shape);
  const width = dtypeInfo(dtype).bits / 8;
  assert(Number.isInteger(width) && width > 0, `transpose of ${dtype}`);
  const from = tensor.bytes();
  const to = new Uint8Array(from.byteLength);
  const steps = perm.map((axis) => elementCount(tensor.shape.slice(axis + 1)) * width);
  const index = new Array<number>(shape.length).fill(0);
  let source = 0;
  for (let target = 0; target < to.byteLength; target += width) {
    for (let b = 0; b < width; b++) to[target + b] = from[source + b] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += steps[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      source -= (steps[axis] as number) * (shape[axis] as number);
      index[axis] = 0;
    }
  }
  return Tensor.fromBytes(dtype, shape, to);
}
