// Gradients of reductions: what comes back is spread over the elements that were reduced.

import type { Value } from '../../graph/index.ts';
import { type Gradient, type GradientContext, gradients } from '../gradient.ts';

/** A reduced value with its axes put back as 1, so that it broadcasts over the input. */
function kept(c: GradientContext, reduced: Value): Value {
  const axes = c.reducedAxes();
  if (c.node.int('keepdims', 1) || axes.length === 0) return reduced;
  return c.op('Unsqueeze', [reduced, c.ints(axes)]);
}

function spread(c: GradientContext, value: Value): Value {
  return c.op('Expand', [value, c.shapeOf(c.x())]);
}

/** How many elements go into one, as a scalar of the input's type. */
function count(c: GradientContext): Value {
  const shape = c.staticShape(c.x());
  const axes = c.reducedAxes();
  if (shape) {
    const size = axes.reduce((product, axis) => product * (shape[axis] ?? 1), 1);
    return c.scalar(size, c.x());
  }
  const sizes = c.op('Gather', [c.op('Shape', [c.x()]), c.ints(axes)]);
  const product = c.op('ReduceProd', [sizes], { keepdims: 0 });
  return c.op('CastLike', [product, c.x()]);
}

/** Gradient as dy, spread, times a slope in terms of x and the kept result. */
function times(slope: (c: GradientContext, x: Value, y: Value) => Value): Gradient {
  return (c) => [c.mul(kept(c, c.dy()), slope(c, c.x(), kept(c, c.y())))];
}

/** Equal extremes share the gradient, as PyTorch's amax has it. */
function extreme(c: GradientContext): (Value | undefined)[] {
  const isBest = c.mask(c.op('Equal', [c.x(), kept(c, c.y())]), c.x());
  const axes = c.reducedAxes();
  const ties = c.reduceSum(isBest, axes, true);
  return [c.mul(c.div(isBest, ties), kept(c, c.dy()))];
}

gradients({
  ReduceSum: (c) => [spread(c, kept(c, c.dy()))],
  ReduceMean: (c) => [spread(c, c.div(kept(c, c.dy()), count(c)))],
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceSumSquare: times((c, x) => c.scale(x, 2)),
  ReduceL1: times((c, x) => c.op('Sign', [x])),
  ReduceL2: times((c, x, y) => c.div(x, y)),
  ReduceLogSum: times((c, _x, y) => spread(c, c.op('Exp', [c.neg(y)]))),
  ReduceLogSumExp: times((c, x, y) => c.op('Exp', [c.sub(x, y)])),
  ReduceProd: times((c, x, y) => c.div(y, x)),
});
