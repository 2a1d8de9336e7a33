// Optimisers: how a parameter moves, written as nodes. θ: parameter, g: gradient, η: rate, λ: weight
// decay, t: number of this update, from 1. Slots are per parameter, start at zero and have its shape.
// Formulas are those of the papers in the form that PyTorch computes them.

import type { Value } from '../graph/index.ts';
import type { Formula } from './formula.ts';

export interface Update {
  readonly parameter: Value;
  readonly gradient: Value;
  readonly slots: readonly Value[];
  /** η, a float32 scalar. */
  readonly rate: Value;
  /** λ; 0 for parameters that do not decay. */
  readonly decay: number;
  /** t, a float64 scalar: 1 - 0.999^t needs the digits. */
  readonly count: Value;
}

export interface OptimizerSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly momentum: number;
  readonly nesterov: boolean;
}

export interface Optimizer {
  readonly summary: string;
  readonly slots: readonly string[];
  /** Whether steps have a size of their own: twice the gradient makes the same step. */
  readonly isNormalised: boolean;
  /** Whether no element of a tensor depends on the others. */
  readonly isByElement: boolean;
  readonly defaults: Partial<OptimizerSettings> & { readonly rate: number };
  update(f: Formula, u: Update, s: OptimizerSettings): { parameter: Value; slots: Value[] };
}

/** m + (1 - β)(x - m). */
function average(f: Formula, mean: Value, x: Value, beta: number): Value {
  return f.add(f.mul(mean, beta), f.mul(x, 1 - beta));
}

/** 1 - β^t, computed in double precision. */
function correction(f: Formula, beta: number, count: Value): Value {
  const power = f.op('Pow', [f.number(beta, 'float64'), count]);
  return f.op('Sub', [f.number(1, 'float64'), power]);
}

/**
 * Bias-corrected moments' step: η / (1 - β1^t) · m / (√v / r + ε) with r = √(1 - β2^t). With r taken out,
 * what is done to each element is one product less.
 */
function adamStep(f: Formula, u: Update, m: Value, v: Value, s: OptimizerSettings): Value {
  const single = (x: Value) => f.cast(x, 'float32');
  const root = single(f.sqrt(correction(f, s.beta2, u.count)));
  const rate = f.mul(f.div(u.rate, single(correction(f, s.beta1, u.count))), root);
  return f.mul(f.div(m, f.add(f.sqrt(v), f.mul(root, s.epsilon))), rate);
}

function moments(f: Formula, u: Update, gradient: Value, s: OptimizerSettings): [Value, Value] {
  const [m, v] = u.slots as readonly [Value, Value];
  return [average(f, m, gradient, s.beta1), average(f, v, f.square(gradient), s.beta2)];
}

/** θ(1 - ηλ): decay apart from the gradient (Loshchilov and Hutter). */
function decayed(f: Formula, { parameter, rate, decay }: Update): Value {
  if (decay === 0) return parameter;
  const keep = f.op('Sub', [f.number(1, 'float32'), f.mul(rate, decay)]);
  return f.mul(parameter, keep);
}

/** g + λθ: decay as part of the gradient (L2). */
function regularised(f: Formula, { parameter, gradient, decay }: Update): Value {
  return decay === 0 ? gradient : f.add(gradient, f.mul(parameter, decay));
}

const norm = (f: Formula, a: Value) => f.sqrt(f.sum(f.square(a)));

export const OPTIMIZERS: Readonly<Record<string, Optimizer>> = {
  adamw: {
    summary: 'Adam with decoupled weight decay (Loshchilov and Hutter 2019)',
    slots: ['m', 'v'],
    isNormalised: true,
    isByElement: true,
    defaults: { rate: 1e-3 },
    update(f, u, s) {
      const [m, v] = moments(f, u, u.gradient, s);
      return { parameter: f.sub(decayed(f, u), adamStep(f, u, m, v, s)), slots: [m, v] };
    },
  },
  adam: {
    summary: 'adaptive moments (Kingma and Ba 2015); weight decay is L2',
    slots: ['m', 'v'],
    isNormalised: true,
    isByElement: true,
    defaults: { rate: 1e-3 },
    update(f, u, s) {
      const [m, v] = moments(f, u, regularised(f, u), s);
      return { parameter: f.sub(u.parameter, adamStep(f, u, m, v, s)), slots: [m, v] };
    },
  },
  sgd: {
    summary: 'gradient descent with momentum, of Nesterov where asked',
    slots: ['m'],
    isNormalised: false,
    isByElement: true,
    defaults: { rate: 0.1 },
    update(f, u, s) {
      const gradient = regularised(f, u);
      const m = f.add(f.mul(u.slots[0] as Value, s.momentum), gradient);
      const step = s.nesterov ? f.add(gradient, f.mul(m, s.momentum)) : m;
      return { parameter: f.sub(u.parameter, f.mul(step, u.rate)), slots: [m] };
    },
  },
  rmsprop: {
    summary: 'gradient over its root mean square (Tieleman and Hinton 2012)',
    slots: ['v'],
    isNormalised: true,
    isByElement: true,
    defaults: { rate: 1e-3, beta2: 0.99 },
    update(f, u, s) {
      const gradient = regularised(f, u);
      const v = average(f, u.slots[0] as Value, f.square(gradient), s.beta2);
      const step = f.div(gradient, f.add(f.sqrt(v), s.epsilon));
      return { parameter: f.sub(u.parameter, f.mul(step, u.rate)), slots: [v] };
    },
  },
  adagrad: {
    summary: 'gradient over the root of the sum of its squares (Duchi et al. 2011)',
    slots: ['v'],
    isNormalised: true,
    isByElement: true,
    defaults: { rate: 1e-2, epsilon: 1e-10 },
    update(f, u, s) {
      const gradient = regularised(f, u);
      const v = f.add(u.slots[0] as Value, f.square(gradient));
      const step = f.div(gradient, f.add(f.sqrt(v), s.epsilon));
      return { parameter: f.sub(u.parameter, f.mul(step, u.rate)), slots: [v] };
    },
  },
  lion: {
    summary: 'sign of an interpolated momentum (Chen et al. 2023)',
    slots: ['m'],
    isNormalised: true,
    isByElement: true,
    defaults: { rate: 1e-4, beta2: 0.99 },
    update(f, u, s) {
      const m = u.slots[0] as Value;
      const direction = f.op('Sign', [average(f, m, u.gradient, s.beta1)]);
      return {
        parameter: f.sub(decayed(f, u), f.mul(direction, u.rate)),
        slots: [average(f, m, u.gradient, s.beta2)],
      };
    },
  },
  lamb: {
    summary: 'Adam with a trust ratio for each tensor (You et al. 2020)',
    slots: ['m', 'v'],
    isNormalised: true,
    isByElement: false,
    defaults: { rate: 1e-3, epsilon: 1e-6 },
    update(f, u, s) {
      const [m, v] = moments(f, u, u.gradient, s);
      const step = adamStep(f, { ...u, rate: f.number(1, 'float32') }, m, v, s);
      const whole = u.decay === 0 ? step : f.add(step, f.mul(u.parameter, u.decay));
      const [weight, length] = [norm(f, u.parameter), norm(f, whole)];
      const isSound = f.and(f.greater(weight, 0), f.greater(length, 0));
      const trust = f.where(isSound, f.div(weight, f.max(length, 1e-30)), 1);
      const rate = f.mul(trust, u.rate);
      return { parameter: f.sub(u.parameter, f.mul(whole, rate)), slots: [m, v] };
    },
  },
};

export const OPTIMIZER_DEFAULTS: OptimizerSettings = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  momentum: 0.9,
  nesterov: false,
};
