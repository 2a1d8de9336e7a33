// AdaRound (Nagel et al. 2020) of one layer, run by onnxruntime: a Loop of Adam steps over V, where
// h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1) says how far each weight is rounded up. With E = h - rest, in
// steps, and A = s E: loss = tr(A G A^T) + 2 tr(A T^T) + lambda sum(1 - |2h - 1|^beta), T = W D, which is
// || W' x - W x_f ||^2 up to a constant. Rows do not depend on each other: each is scaled to steps of
// its own and inputs of mean square 1, so that lambda means the same everywhere.

import { Builder, Graph, Model, tensorType, type Value } from '../../../graph/index.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import type { Runner } from '../../pass.ts';
import type { RoundingProblem, Sums } from './rounding-problem.ts';
import type { Unfolding } from './unfold.ts';

export interface AdaptiveOptions {
  readonly steps: number;
  readonly rate: number;
  readonly lambda: number;
  /** Added to the diagonal of G, in means of it: what little data says is not taken for the truth. */
  readonly damping: number;
}

export const ADAPTIVE: AdaptiveOptions = { steps: 500, rate: 0.03, lambda: 0.5, damping: 0.02 };

/** So many rows for each input, and half of what they say of drift is believed: of few it is chance. */
const CAUTION = 8;
/** Products of large layers take long: fewer and larger steps, as many as that makes of each weight. */
const MAX_PRODUCTS = 1.5e12;
const MIN_STEPS = 120;

function within(options: AdaptiveOptions, { groups, outputs, inputs }: Unfolding): AdaptiveOptions {
  const most = Math.max(MIN_STEPS, Math.floor(MAX_PRODUCTS / (groups * outputs * inputs * inputs)));
  const steps = Math.min(options.steps, most);
  return { ...options, steps, rate: options.rate * Math.sqrt(options.steps / steps) };
}

/** The part of the steps before roundings are driven apart. */
const WARM_UP = 0.2;
const BETA = { first: 20, last: 2 };
const [ZETA, GAMMA] = [1.1, -0.1];

export interface Rounding {
  /** 1 where a weight is rounded up, in rows. */
  readonly up: Float32Array;
  /** By how much its squared error on the data is less than that of rounding to nearest, */
  readonly gain: number;
  /** and what the latter adds to a layer whose inputs are exact. */
  readonly nearest: number;
}

/** Rows that do not gain are rounded to nearest. */
export async function roundAdaptively(
  problem: RoundingProblem,
  sums: Sums,
  options: AdaptiveOptions,
  run: Runner,
): Promise<Rounding> {
  const feeds = feedsOf(problem, sums);
  const found = await run(loopModel(problem, within(options, problem.unfolding)), feeds);
  const [up, adaptive, nearest, own] = ['up', 'adaptive', 'nearest', 'own'].map(
    (name) => found.get(name)?.values() as Float32Array,
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const { inputs } = problem.unfolding;
  const result = Float32Array.from(up);
  let gain = 0;
  nearest.forEach((plain, row) => {
    const less = plain - (adaptive[row] as number);
    if (less > 0) gain += less;
    else result.set(nearestOf(problem, row), row * inputs);
  });
  return { up: result, gain, nearest: own.reduce((a, b) => a + b, 0) };
}

function nearestOf({ rest, unfolding: { inputs } }: RoundingProblem, row: number): Float32Array {
  return rest.subarray(row * inputs, (row + 1) * inputs).map((r) => (r >= 0.5 ? 1 : 0));
}

function feedsOf(problem: RoundingProblem, { gram, drift, rows: seen }: Sums): Map<string, Tensor> {
  const { groups, outputs, inputs } = problem.unfolding;
  const rows = [groups, outputs, inputs];
  const square = [groups, inputs, inputs];
  // By group: the mean of the diagonal. By row: the size of its steps.
  const energy = Float32Array.from({ length: groups }, (_, g) => {
    let sum = 0;
    for (let k = 0; k < inputs; k++) sum += gram[(g * inputs + k) * inputs + k] as number;
    return sum / inputs || 1;
  });
  const steps = Float32Array.from({ length: groups * outputs }, (_, row) => {
    let sum = 0;
    for (let k = 0; k < inputs; k++) sum += (problem.scales[row * inputs + k] as number) ** 2;
    return Math.sqrt(sum / inputs) || 1;
  });
  return new Map([
    ['rest', Tensor.of('float32', rows, problem.rest)],
    ['weight', Tensor.of('float32', rows, problem.weight)],
    ['scale', Tensor.of('float32', rows, problem.scales)],
    ['gram', Tensor.of('float32', square, gram)],
    ['drift', Tensor.of('float32', square, drift)],
    ['energy', Tensor.of('float32', [groups, 1, 1], energy)],
    ['step', Tensor.of('float32', [groups, outputs, 1], steps)],
    ['trust', Tensor.scalar('float32', seen / (seen + CAUTION * inputs))],
  ]);
}

/** Writes formulas; operators of opset 13. */
class Formula {
  readonly g: Builder;

  constructor(graph: Graph) {
    this.g = new Builder(graph);
  }

  number(value: number): Value {
    return this.g.constant('c', Tensor.scalar('float32', value));
  }

  #binary(op: string, a: Value, b: Value | number): Value {
    return this.g.op(op, [a, typeof b === 'number' ? this.number(b) : b]);
  }

  add(a: Value, b: Value | number): Value {
    return this.#binary('Add', a, b);
  }

  sub(a: Value, b: Value | number): Value {
    return this.#binary('Sub', a, b);
  }

  mul(a: Value, b: Value | number): Value {
    return this.#binary('Mul', a, b);
  }

  div(a: Value, b: Value | number): Value {
    return this.#binary('Div', a, b);
  }

  pow(a: Value, b: Value | number): Value {
    return this.#binary('Pow', a, b);
  }

  product(a: Value, b: Value): Value {
    return this.g.op('MatMul', [a, b]);
  }

  clip(a: Value, min: number, max: number): Value {
    return this.g.op('Clip', [a, this.number(min), this.number(max)]);
  }

  /** 1 or 0. */
  is(op: 'Greater' | 'Less' | 'GreaterOrEqual', a: Value, b: number): Value {
    return this.g.op('Cast', [this.#binary(op, a, b)], { to: 1 });
  }
}

/** What the loop and the final measurement share. */
interface Terms {
  readonly rest: Value;
  /** s over the step of the row. */
  readonly scale: Value;
  readonly gram: Value;
  readonly linear: Value;
  /** Squared, what errors are measured in. */
  readonly unit: Value;
}

function loopModel({ unfolding }: RoundingProblem, options: AdaptiveOptions): Model {
  const { groups, outputs, inputs } = unfolding;
  const graph = new Graph('rounding');
  const f = new Formula(graph);
  const port = (name: string, shape: number[]) => f.g.input(name, tensorType('float32', shape));
  const rows = [groups, outputs, inputs];
  const [rest, weight, scale] = ['rest', 'weight', 'scale'].map((name) => port(name, rows)) as [
    Value,
    Value,
    Value,
  ];
  const [gram, drift] = ['gram', 'drift'].map((name) => port(name, [groups, inputs, inputs])) as [
    Value,
    Value,
  ];
  const energy = port('energy', [groups, 1, 1]);
  const step = port('step', [groups, outputs, 1]);
  const terms: Terms = {
    rest,
    scale: f.div(scale, step),
    gram: f.div(gram, energy),
    linear: f.div(f.div(f.product(weight, drift), energy), step),
    unit: f.mul(f.mul(step, step), energy),
  };
  const start = logit(f, rest);
  const zero = f.mul(start, 0);
  const damped = f.add(terms.gram, f.g.constant('damping', diagonal(inputs, options.damping)));
  const believed = { ...terms, gram: damped, linear: f.mul(terms.linear, port('trust', [])) };
  const last = loop(f, believed, [start, zero, zero], options);
  const up = f.is('GreaterOrEqual', last, 0);
  const nearest = f.is('GreaterOrEqual', rest, 0.5);
  output(f, up, 'up', rows);
  output(f, rowErrors(f, terms, up), 'adaptive', [groups, outputs, 1]);
  output(f, rowErrors(f, terms, nearest), 'nearest', [groups, outputs, 1]);
  output(f, ownErrors(f, terms, nearest), 'own', [groups, outputs, 1]);
  return new Model(graph, new Map([['', 13]]), 8);
}

function output(f: Formula, value: Value, name: string, shape: readonly number[]): void {
  value.type = tensorType('float32', shape);
  f.g.output(value, name);
}

/** Of inputs of mean square 1. */
function diagonal(size: number, value: number): Tensor {
  const values = new Float32Array(size * size);
  for (let i = 0; i < size; i++) values[i * size + i] = value;
  return Tensor.of('float32', [1, size, size], values);
}

/** V with h(V) = rest. */
function logit(f: Formula, rest: Value): Value {
  const inside = f.clip(rest, 0.01, 0.99);
  const p = f.div(f.sub(inside, GAMMA), ZETA - GAMMA);
  return f.g.op('Log', [f.div(p, f.sub(f.number(1), p))]);
}

/** s E G + T. */
function pull(f: Formula, { rest, scale, gram, linear }: Terms, h: Value) {
  const a = f.mul(f.sub(h, rest), scale);
  return { a, half: f.add(f.product(a, gram), linear), linear };
}

/** The squared error of each row, [groups, M, 1], but for what does not depend on the rounding. */
function rowErrors(f: Formula, terms: Terms, h: Value): Value {
  const { a, half, linear } = pull(f, terms, h);
  return rowSums(f, terms, f.mul(a, f.add(half, linear)));
}

/** What rounding would add to each row if its inputs were those of the float model. */
function ownErrors(f: Formula, terms: Terms, h: Value): Value {
  const { a, half, linear } = pull(f, terms, h);
  return rowSums(f, terms, f.mul(a, f.sub(half, linear)));
}

function rowSums(f: Formula, { unit }: Terms, value: Value): Value {
  const axes = f.g.constant('axes', Tensor.int64([2]));
  return f.mul(f.g.op('ReduceSum', [value, axes], { keepdims: 1 }), unit);
}

/** Runs the steps; the last V. */
function loop(f: Formula, terms: Terms, states: readonly Value[], options: AdaptiveOptions): Value {
  const { steps } = options;
  const schedule = scheduleOf(options).map((values, i) =>
    f.g.constant(`schedule${i}`, Tensor.of('float32', [steps], values)),
  );
  const count = f.g.constant('steps', Tensor.of('int64', [], [steps]));
  const body = bodyOf(f, terms, schedule, options);
  const [last] = f.g.ops('Loop', [count, undefined, ...states], states.length, { body });
  return last as Value;
}

/** By step: lambda beta, beta - 1, and the two corrections of Adam's means. */
function scheduleOf({ steps, lambda }: AdaptiveOptions): Float32Array[] {
  const by = (value: (i: number) => number) =>
    Float32Array.from({ length: steps }, (_, i) => value(i));
  const annealed = (i: number) => Math.max(0, (i / steps - WARM_UP) / (1 - WARM_UP));
  const beta = (i: number) =>
    BETA.last + ((BETA.first - BETA.last) * (1 + Math.cos(Math.PI * annealed(i)))) / 2;
  return [
    by((i) => (i < WARM_UP * steps ? 0 : lambda * beta(i))),
    by((i) => beta(i) - 1),
    by((i) => 1 / (1 - 0.9 ** (i + 1))),
    by((i) => 1 / (1 - 0.999 ** (i + 1))),
  ];
}

function bodyOf(
  outer: Formula,
  terms: Terms,
  schedule: readonly Value[],
  { rate }: AdaptiveOptions,
): Graph {
  const graph = new Graph('step');
  // Names must differ from those around, which the graph does not know yet.
  const f = new Formula(graph);
  const name = (word: string) => outer.g.graph.fresh(`step/${word}`);
  const i = f.g.input(name('i'), tensorType('int64', []));
  const go = f.g.input(name('go'), tensorType('bool', []));
  const [v, mean, square] = ['v', 'mean', 'square'].map((word) =>
    f.g.input(name(word), tensorType('float32', undefined)),
  ) as [Value, Value, Value];
  const [weight, power, first, second] = schedule.map((values) =>
    f.g.op('Gather', [values, i]),
  ) as [Value, Value, Value, Value];
  const sigmoid = f.g.op('Sigmoid', [v]);
  const h = f.clip(f.add(f.mul(sigmoid, ZETA - GAMMA), GAMMA), 0, 1);
  const inside = f.mul(f.is('Greater', h, 0), f.is('Less', h, 1));
  const slope = f.mul(f.mul(f.mul(sigmoid, f.sub(f.number(1), sigmoid)), ZETA - GAMMA), inside);
  const fit = f.mul(f.mul(pull(f, terms, h).half, terms.scale), 2);
  const side = f.sub(f.mul(h, 2), 1);
  const drive = f.mul(f.mul(f.g.op('Sign', [side]), f.pow(f.g.op('Abs', [side]), power)), weight);
  const gradient = f.mul(f.sub(fit, f.mul(drive, 2)), slope);
  const nextMean = f.add(f.mul(mean, 0.9), f.mul(gradient, 0.1));
  const nextSquare = f.add(f.mul(square, 0.999), f.mul(f.mul(gradient, gradient), 0.001));
  const length = f.add(f.g.op('Sqrt', [f.mul(nextSquare, second)]), 1e-8);
  const next = f.sub(v, f.mul(f.div(f.mul(nextMean, first), length), rate));
  for (const value of [f.g.op('Identity', [go]), next, nextMean, nextSquare]) f.g.output(value);
  for (const node of graph.nodes) {
    for (const value of node.outputs) value.name = name(value.name);
  }
  for (const value of graph.initializers) value.name = name(value.name);
  return graph;
}
