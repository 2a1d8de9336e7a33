// Matrix products as numpy's matmul defines them: [.., M, K] x [.., K, N] → [.., M, N], leading axes
// broadcast; a vector counts as a row on the left and as a column on the right, and its axis goes.

import { type Dim, mul, product, type Shape } from '../graph/index.ts';
import type { InferContext } from './context.ts';
import { broadcast } from './elementwise.ts';

export function matmulShape(
  c: InferContext,
  a: Shape | undefined,
  b: Shape | undefined,
): Shape | undefined {
  if (!a || !b) return undefined;
  if (a.length === 0 || b.length === 0) c.fail(`${c.node.op} cannot multiply a scalar`);
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  const [inner, other] = [left.at(-1) as Dim, right.at(-2) as Dim];
  if (typeof inner === 'number' && typeof other === 'number' && inner !== other) {
    c.fail(
      `${c.node.op} needs A's columns to equal B's rows, but A is [${a.join(', ')}] and B is [${b.join(', ')}]`,
    );
  }
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  if (!batch) {
    c.fail(`${c.node.op} cannot broadcast [${a.join(', ')}] with [${b.join(', ')}]`);
  }
  const rows = a.length === 1 ? [] : [left.at(-2) as Dim];
  const columns = b.length === 1 ? [] : [right.at(-1) as Dim];
  return [...batch, ...rows, ...columns];
}

/** Elements of the result times the elements summed for each. */
export function matmulCost(c: InferContext, a: Shape | undefined): Dim | undefined {
  const { shape } = c.node.output;
  const inner = a?.at(-1);
  return shape && inner !== undefined ? mul(product(shape), inner) : undefined;
}
