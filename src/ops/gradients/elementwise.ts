// Gradients of elementwise operators. Broadcasting is undone by the walker.

import type { Value } from '../../graph/index.ts';
import { isFloat } from '../../tensor/dtype.ts';
import { type Gradient, type GradientContext, type GradientRule, gradients } from '../gradient.ts';

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

/** 1/√v. */
function rootOf(c: GradientContext, value: Value): Value {
  return c.op('Reciprocal', [c.op('Sqrt', [value])]);
}

function isFloatValue(value: Value): boolean {
  return value.dtype !== undefined && isFloat(value.dtype);
}

function stops(ops: readonly string[]): Record<string, GradientRule> {
  return Object.fromEntries(ops.map((op) => [op, 'stop'] as const));
}

/** d/dx = b x^(b-1), d/db = x^b ln x, which is taken as 0 at x <= 0, as PyTorch does at 0. */
function power(c: GradientContext): (Value | undefined)[] {
  const [x, b] = [c.x(0), c.x(1)];
  const exponent = b.dtype === x.dtype ? b : c.op('CastLike', [b, x]);
  return [
    c.when(0, () => {
      const lower = c.op('Pow', [x, c.sub(exponent, one(c, x))]);
      return c.mul(c.dy(), c.mul(exponent, lower));
    }),
    c.when(1, () => {
      const isPositive = c.op('Greater', [x, c.scalar(0, x)]);
      const log = c.op('Log', [c.op('Where', [isPositive, x, one(c, x)])]);
      return c.mul(c.dy(), c.mul(c.y(), log));
    }),
  ];
}

/** Of Min and Max: to those that are the result, in equal parts where several are. */
function extreme(c: GradientContext): (Value | undefined)[] {
  const chosen = c.node.inputs.map((_, i) => c.mask(c.op('Equal', [c.x(i), c.y()]), c.dy()));
  const ties = chosen.length > 1 ? c.op('Sum', chosen) : undefined;
  const shared = ties ? c.div(c.dy(), ties) : c.dy();
  return chosen.map((mask, i) => c.when(i, () => c.mul(shared, mask)));
}

/** Trees give the same for all that falls into one leaf. */
gradients(
  stops(['Binarizer', 'TreeEnsemble', 'TreeEnsembleClassifier', 'TreeEnsembleRegressor']),
  'ai.onnx.ml',
);

/** Steps of a quantised number, as a number, are other than what they stand for. */
function cast(c: GradientContext): (Value | undefined)[] {
  if (isFloatValue(c.x())) return [c.op('CastLike', [c.dy(), c.x()])];
  return c.wants(0) ? c.unsupported('a cast of quantised numbers') : [undefined];
}

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
  Sin: slope((c, x) => c.op('Cos', [x])),
  Cos: slope((c, x) => c.neg(c.op('Sin', [x]))),
  Tan: slope((c, _x, y) => c.add(one(c, y), square(c, y))),
  Sinh: slope((c, x) => c.op('Cosh', [x])),
  Cosh: slope((c, x) => c.op('Sinh', [x])),
  Asin: slope((c, x) => rootOf(c, c.sub(one(c, x), square(c, x)))),
  Acos: slope((c, x) => c.neg(rootOf(c, c.sub(one(c, x), square(c, x))))),
  Atan: slope((c, x) => c.op('Reciprocal', [c.add(one(c, x), square(c, x))])),
  Asinh: slope((c, x) => rootOf(c, c.add(square(c, x), one(c, x)))),
  Acosh: slope((c, x) => rootOf(c, c.sub(square(c, x), one(c, x)))),
  Atanh: slope((c, x) => c.op('Reciprocal', [c.sub(one(c, x), square(c, x))])),
  Pow: power,
  Min: extreme,
  Max: extreme,
  Where: (c) => {
    const zero = c.scalar(0, c.dy());
    return [
      undefined,
      c.when(1, () => c.op('Where', [c.x(0), c.dy(), zero])),
      c.when(2, () => c.op('Where', [c.x(0), zero, c.dy()])),
    ];
  },
  // fmod: x - trunc(x/m) m; nothing is asked of the modulus.
  Mod: (c) => [c.dy()],
  Cast: cast,
  CastLike: cast,
  ...stops([
    'And',
    'ArgMax',
    'ArgMin',
    'BitShift',
    'Ceil',
    'Equal',
    'Floor',
    'Greater',
    'GreaterOrEqual',
    'IsInf',
    'IsNaN',
    'Less',
    'LessOrEqual',
    'Not',
    'Or',
    'Round',
    'Sign',
    'Xor',
  ]),
  Relu: (c) => [where(c, c.op('Greater', [c.x(), c.scalar(0, c.x())]))],
});
