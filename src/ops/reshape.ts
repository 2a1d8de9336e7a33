// The target of a Reshape: 0 copies the size of the same axis (unless allowzero), one -1 takes what is
// left: the quotient of products.

import {
  type Dim,
  divideExactly,
  floorDiv,
  isUnknown,
  product,
  type Shape,
  sameDim,
  unknownDim,
} from '../graph/index.ts';
import type { InferContext } from './context.ts';
import { isOpen } from './known.ts';

export function reshaped(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  const target = c.node.ints('shape') ?? c.known(1);
  if (!target) {
    const rank = c.shape(1)?.[0];
    return typeof rank === 'number' ? Array.from({ length: rank }, unknownDim) : undefined;
  }
  const dims = copied(c, shape, target);
  if (dims.filter((dim) => dim === -1).length > 1) c.fail('Reshape has more than one size of -1');
  const inferred = dims.indexOf(-1);
  // What is not known may be a -1 itself, so where one is, nothing follows for the others.
  const hasOpen = dims.some(isOpen);
  if (inferred >= 0) {
    const sizes = dims.map((dim) => (isOpen(dim) ? unknownDim() : dim));
    return put(sizes, inferred, hasOpen ? unknownDim() : rest(c, shape, without(sizes, inferred)));
  }
  if (hasOpen) return solved(shape, dims);
  checkSize(c, shape, dims);
  return dims;
}

function copied(c: InferContext, shape: Shape | undefined, target: Shape): Shape {
  if (c.node.int('allowzero', 0) !== 0) return target;
  return target.map((dim, i): Dim => {
    if (dim !== 0) return dim;
    if (shape && i >= shape.length)
      c.fail(`Reshape copies axis ${i}, but its input is [${shape.join(', ')}]`);
    return shape?.[i] ?? unknownDim();
  });
}

/** A single size that is not known follows from all others, whether it is a -1, a 0 or a number. */
function solved(shape: Shape | undefined, dims: Shape): Shape {
  const sizes = dims.map((dim) => (isOpen(dim) ? unknownDim() : dim));
  const at = dims.findIndex(isOpen);
  if (!shape || dims.filter(isOpen).length > 1) return sizes;
  const left = divideExactly(product(shape), product(without(dims, at)));
  return left === undefined || isUnknown(left) ? sizes : put(sizes, at, left);
}

/** The size that -1 stands for. */
function rest(c: InferContext, shape: Shape | undefined, given: Shape): Dim {
  if (!shape) return unknownDim();
  const [whole, part] = [product(shape), product(given)];
  if (part === 0) return 0;
  const exact = divideExactly(whole, part);
  if (exact !== undefined) return exact;
  if (typeof whole === 'number' && typeof part === 'number') {
    c.fail(`Reshape cannot divide the ${whole} elements of [${shape.join(', ')}] by ${part}`);
  }
  // Equal factors cancel even where the product is no single term: [n+1, 4, s] by [n+1, -1].
  const [over, under] = [[...shape], [...given]];
  for (const dim of given) {
    const at = over.findIndex((other) => sameDim(other, dim));
    if (at < 0) continue;
    over.splice(at, 1);
    under.splice(
      under.findIndex((other) => sameDim(other, dim)),
      1,
    );
  }
  return floorDiv(product(over), product(under));
}

function checkSize(c: InferContext, shape: Shape | undefined, target: Shape): void {
  if (!shape) return;
  const [before, after] = [product(shape), product(target)];
  if (typeof before === 'number' && typeof after === 'number' && before !== after) {
    c.fail(
      `Reshape cannot make [${target.join(', ')}] of [${shape.join(', ')}]: ${after} elements of ${before}`,
    );
  }
}

function without(dims: Shape, index: number): Shape {
  return dims.filter((_, i) => i !== index);
}

function put(dims: Shape, index: number, dim: Dim): Shape {
  return dims.map((other, i) => (i === index ? dim : other));
}
