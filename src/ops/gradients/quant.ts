// Gradients of rounding to integers, straight through (Bengio et al. 2013): the codes of QuantizeLinear
// are taken for the real numbers that they stand for, and what flows back into them is a float. With
// both rules the gradient of a scale is that of learned step sizes (Esser et al. 2020, LSQ, equation 3):
// round(x/s) - x/s inside the range of the codes, its bound outside. Inside is what rounding brings to a
// code, as PyTorch has it: the paper's range ends half a step earlier, so that the largest values, which
// a range that was observed holds by definition, would pull on it as if they were cut off.

import type { Value } from '../../graph/index.ts';
import { dtypeInfo } from '../../tensor/dtype.ts';
import { type GradientContext, gradients } from '../gradient.ts';

/** A scale as it is multiplied with `x`: a scalar, or along the axis. */
function stretched(c: GradientContext, x: Value, scale: Value): Value {
  const rank = c.rank(scale);
  if (c.node.int('block_size', 0) || rank > 1) c.unsupported('rounding in blocks');
  if (rank === 0) return scale;
  const axis = c.node.int('axis', 1);
  const shape = Array.from({ length: c.rank(x) }, () => 1);
  shape[axis < 0 ? axis + shape.length : axis] = -1;
  return c.op('Reshape', [scale, c.ints(shape)]);
}

/** What each element says about its scale, in the shape of the scale. */
function toScale(c: GradientContext, each: Value, stretch: Value, scale: Value): Value {
  return c.reshapeLike(c.sumTo(each, stretch), scale);
}

/** The least and the largest code, counted from the zero point, which must be one for all. */
function bounds(c: GradientContext): [number, number] {
  const dtype = c.y().dtype ?? 'uint8';
  const { bits, kind } = dtypeInfo(dtype);
  if (kind !== 'int' && kind !== 'uint') c.unsupported(`rounding to ${dtype}`);
  const zeros = c.has(2) ? c.constantNumbers(2) : [0];
  if (!zeros) c.unsupported('rounding with a zero point that is computed');
  const [zero = 0, ...others] = zeros;
  if (others.some((other) => other !== zero)) c.unsupported('rounding with several zero points');
  const least = kind === 'int' ? -(2 ** (bits - 1)) : 0;
  return [least - zero, least + 2 ** bits - 1 - zero];
}

gradients({
  // y = (q - z) s
  DequantizeLinear(c) {
    const scale = stretched(c, c.y(), c.x(1));
    return [
      c.when(0, () => c.mul(c.dy(), scale)),
      c.when(1, () => c.div(toScale(c, c.mul(c.dy(), c.y()), scale, c.x(1)), c.x(1))),
    ];
  },
  // q = clip(x/s + z), as if nothing was rounded
  QuantizeLinear(c) {
    const scale = stretched(c, c.x(), c.x(1));
    const [least, largest] = bounds(c);
    const real = c.div(c.x(), scale);
    const within = [c.scalar(least - 0.5, real), c.scalar(largest + 0.5, real)];
    const isInside = c.op('Equal', [c.op('Clip', [real, ...within]), real]);
    const slope = c.op('Where', [isInside, c.op('Reciprocal', [scale]), c.scalar(0, real)]);
    const dx = c.mul(c.dy(), slope);
    return [dx, c.when(1, () => c.neg(toScale(c, c.mul(dx, real), scale, c.x(1))))];
  },
});
