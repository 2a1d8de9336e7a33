// Joining tensors along an axis (ONNX Concat): at once where the result is small, when somebody reads
// it where it is large.

import assert from 'node:assert/strict';
import { dtypeInfo, elementCount } from './dtype.ts';
import { Tensor } from './tensor.ts';

const EAGER_BYTES = 1 << 20;

/** Tensors of one type, of whole bytes per element, equal in all sizes but that of the axis. */
export function concatTensors(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors;
  assert(first, 'nothing to join');
  const { dtype } = first;
  const shape = first.shape.map((size, i) =>
    i === axis ? tensors.reduce((sum, t) => sum + (t.shape[axis] as number), 0) : size,
  );
  const byteLength = tensors.reduce((sum, t) => sum + t.byteLength, 0);
  assert(tensors.every((t) => t.dtype === dtype) && dtypeInfo(dtype).bits >= 8, `join of ${dtype}`);
  const rows = elementCount(shape.slice(0, axis));
  const write = (target: Uint8Array, bytes: Uint8Array, at: number) => {
    const row = bytes.byteLength / rows;
    const stride = byteLength / rows;
    for (let r = 0; r < rows; r++)
      target.set(bytes.subarray(r * row, (r + 1) * row), r * stride + at);
    return at + row;
  };
  if (byteLength <= EAGER_BYTES && tensors.every((t) => !t.isDerived)) {
    const target = new Uint8Array(byteLength);
    let at = 0;
    for (const tensor of tensors) at = write(target, tensor.bytes(), at);
    return Tensor.fromBytes(dtype, shape, target);
  }
  const compute = async () => {
    const target = new Uint8Array(byteLength);
    let at = 0;
    for (const tensor of tensors) at = write(target, await tensor.load(), at);
    return target;
  };
  return new Tensor(dtype, shape, { byteLength, compute });
}
