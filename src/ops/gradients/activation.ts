// Gradients of activations: dy times the slope. Formulas of the operators are those of the ONNX
// specification; where both sides of a kink are possible the slope is that of the side onnxruntime
// computes with.

import { attr, type Value } from '../../graph/index.ts';
import { type Gradient, type GradientContext, gradients } from '../gradient.ts';

type C = GradientContext;

function slope(make: (c: C, x: Value, y: Value) => Value): Gradient {
  return (c) => [c.mul(c.dy(), make(c, c.x(), c.y()))];
}

/** One slope where x is above a bound, another below. */
function pieces(bound: number, above: (c: C) => Value, below: (c: C) => Value): Gradient {
  return (c) => {
    const isAbove = c.op('Greater', [c.x(), c.scalar(bound, c.x())]);
    return [c.mul(c.dy(), c.op('Where', [isAbove, above(c), below(c)]))];
  };
}

const number = (value: number) => (c: C) => c.scalar(value, c.x());
const sigmoid = (c: C, x: Value) => c.op('Sigmoid', [x]);

/** 1 strictly inside of bounds on x, 0 outside. */
function inside(c: C, low: number, high: number): Value {
  const above = c.op('Greater', [c.x(), c.scalar(low, c.x())]);
  const below = c.op('Less', [c.x(), c.scalar(high, c.x())]);
  return c.mask(c.op('And', [above, below]), c.x());
}

/** Slope a inside of (-b/a, (1 - b)/a), where the line is not cut off. */
function hardSigmoidSlope(c: C, a: number, b: number): Value {
  return c.scale(inside(c, -b / a, (1 - b) / a), a);
}

/** φ(x) = exp(-x²/2) / √2π. */
function density(c: C, x: Value): Value {
  const exponent = c.scale(c.mul(x, x), -0.5);
  return c.scale(c.op('Exp', [exponent]), 1 / Math.sqrt(2 * Math.PI));
}

/** Φ(x) + x φ(x). The tanh form is y = x σ(v) with v = x (k + a x²): σ (1 + (x - y) v'). */
function gelu(c: C): (Value | undefined)[] {
  const x = c.x();
  const one = c.scalar(1, x);
  if (c.node.string('approximate', 'none') !== 'tanh') {
    const erf = c.op('Erf', [c.scale(x, Math.SQRT1_2)]);
    const phi = c.scale(c.add(one, erf), 0.5);
    return [c.mul(c.dy(), c.add(phi, c.mul(x, density(c, x))))];
  }
  const k = 2 * Math.sqrt(2 / Math.PI);
  const squared = c.mul(x, x);
  /** k + `times` a x². */
  const bent = (times: number) => c.add(c.scale(squared, times * 0.044715 * k), c.scalar(k, x));
  const s = sigmoid(c, c.mul(x, bent(1)));
  const bend = c.mul(c.sub(x, c.y()), bent(3));
  return [c.mul(c.dy(), c.mul(s, c.add(bend, one)))];
}

/** Bounds are attributes until opset 10 and inputs since; nothing flows into them. */
function clip(c: C): (Value | undefined)[] {
  const x = c.x();
  const low = c.has(1) ? c.x(1) : c.scalar(c.node.float('min', -3.4e38), x);
  const high = c.has(2) ? c.x(2) : c.scalar(c.node.float('max', 3.4e38), x);
  const above = c.op('GreaterOrEqual', [x, low]);
  const below = c.op('LessOrEqual', [x, high]);
  return [c.mul(c.dy(), c.mask(c.op('And', [above, below]), x))];
}

/** dy at x > 0, slope · dy elsewhere; the slope is learned. */
function prelu(c: C): (Value | undefined)[] {
  const [x, alpha] = [c.x(0), c.x(1)];
  const isPositive = c.op('Greater', [x, c.scalar(0, x)]);
  const scaled = c.mul(c.dy(), alpha);
  const negative = c.op('Min', [x, c.scalar(0, x)]);
  return [
    c.when(0, () => c.op('Where', [isPositive, c.dy(), scaled])),
    c.when(1, () => c.mul(c.dy(), negative)),
  ];
}

/** The axis that Softmax normalises. */
function softmaxAxis(c: C): number {
  const axis = c.node.int('axis', -1);
  return axis < 0 ? axis + c.rank(c.x()) : axis;
}

gradients({
  LeakyRelu: (c) => pieces(0, number(1), number(c.node.float('alpha', 0.01)))(c),
  ThresholdedRelu: (c) => pieces(c.node.float('alpha', 1), number(1), number(0))(c),
  // y + α below 0 is α exp(x).
  Elu: (c) => {
    const alpha = c.node.float('alpha', 1);
    return pieces(0, number(1), () => c.add(c.y(), c.scalar(alpha, c.y())))(c);
  },
  Celu: (c) => {
    const alpha = c.node.float('alpha', 1);
    const scaled = () =>
      c.op('Exp', [c.scale(c.op('Min', [c.x(), c.scalar(0, c.x())]), 1 / alpha)]);
    return pieces(0, number(1), scaled)(c);
  },
  Selu: (c) => {
    const alpha = c.node.float('alpha', 1.6732632423543772);
    const gamma = c.node.float('gamma', 1.0507009873554805);
    const below = () => c.add(c.y(), c.scalar(alpha * gamma, c.y()));
    return pieces(0, number(gamma), below)(c);
  },
  HardSigmoid: (c) => [
    c.mul(c.dy(), hardSigmoidSlope(c, c.node.float('alpha', 0.2), c.node.float('beta', 0.5))),
  ],
  // y = x h(x) with h the hard sigmoid of slope 1/6.
  HardSwish: slope((c, x) => {
    const h = c.op('HardSigmoid', [x], { alpha: attr.float(1 / 6), beta: attr.float(0.5) });
    return c.add(h, c.mul(x, hardSigmoidSlope(c, 1 / 6, 0.5)));
  }),
  Softplus: slope((c, x) => sigmoid(c, x)),
  Softsign: slope((c, x) => {
    const bottom = c.add(c.scalar(1, x), c.op('Abs', [x]));
    return c.op('Reciprocal', [c.mul(bottom, bottom)]);
  }),
  // y = x σ(αx): σ + α y (1 - σ)
  Swish: slope((c, x, y) => {
    const alpha = c.node.float('alpha', 1);
    const s = sigmoid(c, c.scale(x, alpha));
    return c.add(s, c.scale(c.mul(y, c.sub(c.scalar(1, x), s)), alpha));
  }),
  // y = x t with t = tanh(softplus x): t + x (1 - t²) σ(x)
  Mish: slope((c, x) => {
    const t = c.op('Tanh', [c.op('Softplus', [x])]);
    const bend = c.mul(c.mul(x, c.sub(c.scalar(1, x), c.mul(t, t))), sigmoid(c, x));
    return c.add(t, bend);
  }),
  Shrink: (c) => {
    const bound = c.node.float('lambd', 0.5);
    return [c.mul(c.dy(), c.sub(c.scalar(1, c.x()), inside(c, -bound, bound)))];
  },
  Gelu: gelu,
  Erf: slope((c, x) => c.scale(c.op('Exp', [c.neg(c.mul(x, x))]), 2 / Math.sqrt(Math.PI))),
  Clip: clip,
  PRelu: prelu,
  // dx = y (dy - Σ dy y)
  Softmax: (c) => {
    const weighted = c.mul(c.dy(), c.y());
    const total = c.reduceSum(weighted, [softmaxAxis(c)], true);
    return [c.sub(weighted, c.mul(c.y(), total))];
  },
  // dx = dy - exp(y) Σ dy
  LogSoftmax: (c) => {
    const total = c.reduceSum(c.dy(), [softmaxAxis(c)], true);
    return [c.sub(c.dy(), c.mul(c.op('Exp', [c.y()]), total))];
  },
  Hardmax: 'stop',
});
