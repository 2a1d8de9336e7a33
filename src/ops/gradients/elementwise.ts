// Gradients of elementwise operators. Broadcasting is undone by the walker.

import type { Value } from '../../graph/index.ts';
import { type Gradient, type GradientContext, gradients } from '../gradient.ts';

/** dy times the slope, which is written in terms of x and y. */
function slope(make: (c: GradientContext, x: Value, y: Value) => Value): Gradient {
  return (c) => [c.mul(c.dy(), make(c, c.x(), c.y()))];
}

const one = (c: GradientContext, like: Value) => c.scalar(1, like);

/** dy where a condition holds, 0 elsewhere. */
function where(c: GradientContext, condition: Value): Value {
  return c.mul(c.dy(), c.mask(condition, c.dy()));
}

const square = (c: GradientContext, x: Value) => c.mul(x, x);

gradients({
  Add: (c) => [c.dy(), c.dy()],
  Sub: (c) => [c.dy(), c.when(1, () => c.neg(c.dy()))],
  Mul: (c) => [c.when(0, () => c.mul(c.dy(), c.x(1))), c.when(1, () => c.mul(c.dy(), c.x(0)))],
  // d(a/b)/db = -y/b
  Div: (c) => [
    c.when(0, () => c.div(c.dy(), c.x(1))),
    c.when(1, () => c.neg(c.div(c.mul(c.dy(), c.y()), c.x(1)))),
  ],
  Neg: (c) => [c.neg(c.dy())],
  Identity: (c) => [c.dy()],
  Sum: (c) => c.node.inputs.map(() => c.dy()),
  Mean: (c) => c.node.inputs.map(() => c.scale(c.dy(), 1 / c.node.inputs.length)),
  Abs: slope((c, x) => c.op('Sign', [x])),
  Sqrt: slope((c, _x, y) => c.div(c.scalar(0.5, y), y)),
  Exp: slope((_c, _x, y) => y),
  Log: slope((c, x) => c.op('Reciprocal', [x])),
  Reciprocal: slope((c, _x, y) => c.neg(square(c, y))),
  Sigmoid: slope((c, _x, y) => c.mul(y, c.sub(one(c, y), y))),
  Tanh: slope((c, _x, y) => c.sub(one(c, y), square(c, y))),
  Relu: (c) => [where(c, c.op('Greater', [c.x(), c.scalar(0, c.x())]))],
});
