// Tensors put together along their first axis.

import { Tensor } from './tensor.ts';

/** `pieces` pieces of both in turn: a₀ b₀ a₁ b₁ …, along the first axis. Same type and shape. */
export function concatenate(a: Tensor, b: Tensor, pieces = 1): Tensor {
  const [x, y] = [a.bytes(), b.bytes()];
  const size = x.length / pieces;
  const bytes = new Uint8Array(x.length + y.length);
  for (let i = 0; i < pieces; i++) {
    bytes.set(x.subarray(i * size, (i + 1) * size), 2 * i * size);
    bytes.set(y.subarray(i * size, (i + 1) * size), (2 * i + 1) * size);
  }
  const [rows = 0, ...rest] = a.shape;
  return Tensor.fromBytes(a.dtype, [2 * rows, ...rest], bytes);
}
