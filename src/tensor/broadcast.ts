// Elementwise arithmetic on two small float tensors with numpy broadcasting, in double precision.

import { elementCount } from './dtype.ts';
import { floatsOf, floatTensor } from './scale.ts';
import type { Tensor } from './tensor.ts';

/** f over both tensors; undefined where their shapes do not broadcast. Type of the first. */
export function combine(
  a: Tensor,
  b: Tensor,
  f: (x: number, y: number) => number,
): Tensor | undefined {
  const shape = broadcastSizes(a.shape, b.shape);
  if (!shape) return undefined;
  const [x, y] = [floatsOf(a), floatsOf(b)];
  const [stepX, stepY] = [stepsOf(a.shape, shape), stepsOf(b.shape, shape)];
  const result = new Float64Array(elementCount(shape));
  const index = new Array<number>(shape.length).fill(0);
  let [i, k] = [0, 0];
  for (let at = 0; at < result.length; at++) {
    result[at] = f(x[i] as number, y[k] as number);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      i += stepX[axis] as number;
      k += stepY[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < size) break;
      i -= (stepX[axis] as number) * size;
      k -= (stepY[axis] as number) * size;
      index[axis] = 0;
    }
  }
  return floatTensor(a.dtype, shape, result);
}

function broadcastSizes(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const sizes: number[] = [];
  for (let i = 0; i < rank; i++) {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return undefined;
    sizes.push(x === 1 ? y : x);
  }
  return sizes;
}

/** How far an index of each axis of the result moves in a tensor; 0 where it is broadcast. */
function stepsOf(shape: readonly number[], result: readonly number[]): number[] {
  return result.map((_, i) => {
    const axis = i - result.length + shape.length;
    return (shape[axis] ?? 1) === 1 ? 0 : elementCount(shape.slice(axis + 1));
  });
}
