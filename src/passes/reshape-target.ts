// The constant target that makes one shape of another: [batch, seq, 768] to [batch, seq, 12, 64] is
// [0, 0, 12, 64]. ONNX Reshape: 0 copies the size of the same axis, one -1 takes what is left.

import { product, type Shape, sameDim } from '../graph/index.ts';

/** `to` has as many elements. Undefined where more than one size is neither a number nor a copy. */
export function reshapeTarget(from: Shape, to: Shape): number[] | undefined {
  let open = -1;
  const target: number[] = [];
  for (const [i, dim] of to.entries()) {
    const same = from[i];
    if (typeof dim === 'number') {
      // A 0 in the target would copy.
      if (dim === 0 && same !== 0) return undefined;
      target.push(dim);
    } else if (same !== undefined && sameDim(same, dim)) target.push(0);
    else if (open < 0) {
      open = i;
      target.push(-1);
    } else return undefined;
  }
  if (open < 0) return target;
  // With no elements at all, -1 could be anything.
  return product(to.filter((_, i) => i !== open)) === 0 ? undefined : target;
}
