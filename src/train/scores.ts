// Scores of units from gradients of a loss. With a gate of 1 before each unit, the loss changes by the
// gate's gradient when the unit goes: d = Σ w·∂L/∂w over the weights of the unit. First-order Taylor
// is |d| (Molchanov et al. 2019), Fisher d² (Theis et al. 2018), each a mean over samples. The sums are
// part of the graph: what leaves it is one vector per axis, [C].

import { type Model, tensorType, Value } from '../graph/index.ts';
import { elementCount } from '../tensor/dtype.ts';
import { differentiate } from './differentiate.ts';
import { Formula } from './formula.ts';
import { crossEntropy } from './objectives/classify.ts';
import { logitsOf } from './objectives/objective.ts';

/** An axis of a weight or of a computed value. */
export interface ScoredAxis {
  readonly value: string;
  readonly axis: number;
}

export interface ScoreGraph {
  readonly model: Model;
  /** Outputs by axis, in the order in which axes were asked for; undefined without a gradient. */
  readonly sums: readonly (string | undefined)[];
  /** Outputs by weight: ∂L/∂w, where they were asked for. */
  readonly gradients: ReadonlyMap<string, string>;
  readonly rows: number;
  readonly classes: number;
}

export interface ScoreOptions {
  readonly axes?: readonly ScoredAxis[] | undefined;
  /** Weights whose whole gradient is wanted. */
  readonly weights?: readonly string[] | undefined;
  /** Cross-entropy with labels that are fed as `LABELS`, or with the model's own arg max. */
  readonly withLabels: boolean;
}

/** The input for labels, [rows]. */
export const LABELS = 'xform/labels';

/** Writes loss, gradients and sums into a plain model of static shapes, whose outputs they become. */
export function writeScores(model: Model, options: ScoreOptions): ScoreGraph {
  const f = new Formula(model);
  // Some kernels of the loss know no half precision.
  const logits = f.cast(flatLogits(f, scoresOutput(model)), 'float32');
  const [rows = 1, classes = 1] = (logits.shape ?? []).map(Number);
  const labels = options.withLabels
    ? addLabels(model, rows)
    : f.op('ArgMax', [logits], { axis: 1, keepdims: 0 });
  const loss = f.mean(crossEntropy(f, f.div(logits, spread(f, logits)), labels));
  const { axes = [], weights = [] } = options;
  const named = new Map([...model.graph.initializers].map((value) => [value.name, value]));
  const wanted = new Set([...axes.map(({ value }) => value), ...weights]);
  const wrt = [...wanted].flatMap((name) => named.get(name) ?? []);
  const gradients = differentiate(model, loss, wrt);
  const gradientOf = (name: string) => {
    const weight = named.get(name);
    return weight && gradients.get(weight);
  };
  const sums = axes.map(({ value: name, axis }) => {
    const [weight, gradient] = [named.get(name), gradientOf(name)];
    return weight && gradient && overOthers(f, 'sum', f.mul(weight, gradient), axis);
  });
  const whole = weights.flatMap((name) => {
    const gradient = gradientOf(name);
    return gradient ? [[name, gradient] as const] : [];
  });
  const outputs = [...sums, ...whole.map(([, gradient]) => gradient)];
  model.graph.outputs = [...new Set(outputs.flatMap((value) => value ?? []))];
  return {
    model,
    sums: sums.map((value) => value?.name),
    gradients: new Map(whole.map(([name, gradient]) => [name, gradient.name])),
    rows,
    classes,
  };
}

/** Makes the mean of |x| along each axis the outputs of the model; names in the order of the axes. */
export function writeMeans(model: Model, axes: readonly ScoredAxis[]): (string | undefined)[] {
  const f = new Formula(model);
  const named = new Map<string, Value>();
  for (const node of model.graph.nodes) for (const one of node.outputs) named.set(one.name, one);
  const means = axes.map(({ value, axis }) => {
    const found = named.get(value);
    if (!found?.shape || !found.dtype?.startsWith('float')) return undefined;
    return overOthers(f, 'mean', f.op('Abs', [found]), axis);
  });
  model.graph.outputs = [...new Set(means.flatMap((value) => value ?? []))];
  return means.map((value) => value?.name);
}

/**
 * The standard deviation of a row, rounded up, a constant to gradients: the loss of a confident model has
 * none to speak of, and what the few samples say that have, is not what the model does.
 */
function spread(f: Formula, logits: Value): Value {
  const centred = f.sub(logits, f.mean(logits, [1], true));
  const deviation = f.op('Sqrt', [f.mean(f.mul(centred, centred))]);
  return f.max(f.op('Ceil', [deviation]), 1);
}

function overOthers(f: Formula, how: 'sum' | 'mean', value: Value, axis: number): Value {
  const rank = value.shape?.length ?? 0;
  const others = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis);
  return others.length > 0 ? f[how](value, others) : value;
}

function addLabels(model: Model, rows: number): Value {
  const labels = new Value(LABELS, tensorType('int64', [rows]));
  model.graph.inputs.push(labels);
  return labels;
}

/** The first float output with an axis to choose along. */
export function scoresOutput(model: Model): Value {
  const found = model.graph.outputs.find(
    ({ dtype, shape }) => dtype?.startsWith('float') && (shape?.length ?? 0) >= 2,
  );
  return found ?? (model.graph.outputs[0] as Value);
}

/** Logits of an output: [N, C] stays, [N, S, C] becomes [N·S, C], [N, C, H, W] becomes [N·H·W, C]. */
export function flatLogits(f: Formula, output: Value): Value {
  const logits = logitsOf(output, ['Softmax', 'LogSoftmax']);
  const shape = (logits.shape ?? []).map(Number);
  if (shape.length === 2) return logits;
  if (shape.length === 3) return f.reshape(logits, [-1, shape[2] ?? 1]);
  const [n = 1, c = 1, ...rest] = shape;
  const flat = f.reshape(logits, [n, c, elementCount(rest)]);
  return f.reshape(f.op('Transpose', [flat], { perm: [0, 2, 1] }), [-1, c]);
}
