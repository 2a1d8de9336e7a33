// Elementwise operators: numpy broadcasting, result type from the first input unless said otherwise.

import { type Dim, max, type Shape, sameDim } from '../graph/index.ts';
import type { InferContext } from './context.ts';

/** Numpy-style broadcast of two shapes (ONNX "Broadcasting in ONNX"); undefined: incompatible. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const dims: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    const dim = broadcastDim(x, y);
    if (dim === undefined) return undefined;
    dims.push(dim);
  }
  return dims;
}

function broadcastDim(x: Dim, y: Dim): Dim | undefined {
  if (x === 1) return y;
  if (y === 1 || sameDim(x, y)) return x;
  // Against a size above 1 a symbol can only be that size or 1.
  if (typeof x === 'number') return typeof y === 'number' ? undefined : x;
  if (typeof y === 'number') return y;
  return max(x, y);
}

/** Shape of all inputs broadcast together. */
export function broadcastInputs(c: InferContext): Shape | undefined {
  let shape: Shape | undefined = [];
  for (let i = 0; i < c.inputCount; i++) {
    const next = c.shape(i);
    if (!next || !shape) return undefined;
    const both: Shape | undefined = broadcast(shape, next);
    if (!both)
      c.fail(`${c.node.op} cannot broadcast [${shape.join(', ')}] with [${next.join(', ')}]`);
    shape = both;
  }
  return shape;
}
