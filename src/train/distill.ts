// Distillation as an objective: what the student is told by labels, mixed with what its teachers say.
// loss = (1 - α) · hard + α · soft + Σ weight · feature

import { Builder, type Model, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import { isFloat } from '../tensor/dtype.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';
import {
  FEATURE_LOSSES,
  type FeatureLossName,
  RELATION_LOSSES,
  softDivergence,
} from './distillation.ts';
import type { Formula } from './formula.ts';
import type { Match } from './matching.ts';
import { twoClasses } from './objectives/classify.ts';
import { OBJECTIVES } from './objectives/index.ts';
import { tokenInput, tokensThere } from './objectives/language.ts';
import {
  type Ends,
  logitsOf,
  type Mean,
  meanOf,
  meanValue,
  type Objective,
  type ObjectiveContext,
  withoutOnes,
} from './objectives/objective.ts';
import type { Course } from './schedule.ts';

export interface Distillation {
  /** Told by labels; absent: the student learns from its teachers alone. */
  readonly hard?: Objective | undefined;
  /** What teachers say of each compared output, in the student's graph, and how much each counts. */
  readonly teachers: readonly { readonly outputs: readonly Value[]; readonly weight: number }[];
  /** Share of the soft loss. */
  readonly alpha: Course;
  readonly temperature: Course;
  readonly soft: Soft;
  readonly features: readonly Match[];
  readonly featureLoss: FeatureLossName;
  readonly featureWeight: Course;
}

export function distilled(d: Distillation): Objective {
  return {
    summary: 'what teachers say',
    targets: (ends, settings) => d.hard?.targets(ends, settings) ?? [],
    build(c) {
      const { f } = c;
      const hard = d.hard?.build(c);
      const now = (name: string, course: Course) =>
        c.everyStep && course.from !== course.to
          ? c.everyStep(name, course)
          : f.number(course.to, 'float32');
      const soft = softLoss(c, d, () => now('temperature', d.temperature));
      const { count } = soft;
      let loss = meanValue(f, soft);
      if (hard) {
        const share = now('alpha', d.alpha);
        const rest = f.op('Sub', [f.number(1, 'float32'), share]);
        loss = f.add(f.mul(loss, share), f.mul(meanValue(f, hard.loss), rest));
      }
      const metrics = new Map(hard?.metrics);
      metrics.set('soft', soft);
      if (d.features.length > 0) {
        const feature = featureLoss(f, d);
        loss = f.add(loss, f.mul(feature, now('feature_weight', d.featureWeight)));
        metrics.set('feature', { sum: feature, count: f.number(1, 'float32') });
      }
      return { loss: { sum: f.mul(loss, count), count }, metrics };
    },
  };
}

/**
 * How outputs are compared: distributions over classes or tokens by their divergence at a temperature,
 * chances that do not exclude each other one by one in the same way, all else by squared distance.
 */
export type Soft = 'kl' | 'chances' | 'mse';

/** Outputs that are compared: all numbers, or the first distribution and others of its shape. */
export function comparedOutputs(outputs: readonly Value[], soft: Soft): Value[] {
  const numbers = outputs.filter(({ dtype }) => dtype && isFloat(dtype));
  return soft === 'mse'
    ? numbers
    : numbers.filter(({ shape }) => `${shape}` === `${numbers[0]?.shape}`);
}

/** The value that stands for an output in the comparison: logits where there are some. */
export function saidIn(output: Value, soft: Soft): Value {
  return logitsOf(output, soft === 'chances' ? ['Sigmoid'] : ['Softmax', 'LogSoftmax']);
}

/** What an output is, and what was asked for; the objective says so where there are labels. */
export function softFor(
  { inputs, outputs }: Ends,
  objective: Objective | undefined,
  asked?: 'kl' | 'mse',
): Soft {
  if (asked === 'mse' || (objective && NUMBERS.has(objective))) return asked ?? 'mse';
  const [output] = outputs;
  const shape = withoutOnes(output?.shape);
  const isRow = shape.length === 2;
  const isOfOne = isRow && objective === OBJECTIVES.classify && shape[1] === 1;
  const endsInChances = output !== undefined && logitsOf(output, ['Sigmoid']) !== output;
  if (isRow && (endsInChances || isOfOne || objective === OBJECTIVES.multilabel)) return 'chances';
  const isOverClasses = isRow && shape[1] !== 1;
  const isOverTokens = shape.length === 3 && tokenInput({ inputs, outputs }) !== undefined;
  return asked ?? (isOverClasses || isOverTokens ? 'kl' : 'mse');
}

const NUMBERS = new Set<Objective>([OBJECTIVES.regress, OBJECTIVES.reconstruct, OBJECTIVES.detect]);

function softLoss(c: ObjectiveContext, d: Distillation, temperature: () => Value): Mean {
  const { f, outputs, real } = c;
  const own = comparedOutputs(outputs, d.soft).map((output) => saidIn(output, d.soft));
  const t = d.soft === 'mse' ? undefined : temperature();
  const rows = d.teachers.map(({ outputs: said, weight }) => {
    const losses = said.map((output, i) => rowLosses(f, own[i] as Value, output, d.soft, t));
    return f.mul(f.total(losses), weight / losses.length);
  });
  const total = f.total(rows);
  const size = Number(total.shape?.[0] ?? 1);
  const there = t && own[0]?.shape?.length === 3 ? tokensThere(c, d.hard !== undefined) : undefined;
  const [first, second] = [
    ...(real ? [spread(f, real, size)] : []),
    ...(there ? [f.reshape(there, [size])] : []),
  ];
  return meanOf(f, total, first && second ? f.mul(first, second) : first);
}

/** Divergence at a temperature, or squared distance without one, [rows]. */
function rowLosses(
  f: Formula,
  student: Value,
  teacher: Value,
  soft: Soft,
  t: Value | undefined,
): Value {
  const shape = withoutOnes(student.shape).map(Number);
  if (soft === 'kl' && t) {
    return softDivergence(f, f.reshape(student, shape), f.reshape(teacher, shape), t);
  }
  const [n = 1, ...rest] = shape;
  const size = rest.reduce((a, b) => a * b, 1);
  if (!t) {
    const [own, wanted] = [student, teacher].map((numbers) => f.reshape(numbers, [n, size]));
    return f.mean(f.square(f.sub(own as Value, wanted as Value)), [1]);
  }
  const [own, wanted] = [student, teacher].map((logits) => twoClasses(f, logits));
  return f.mean(f.reshape(softDivergence(f, own as Value, wanted as Value, t), [n, size]), [1]);
}

/** Weights of samples as those of their rows. */
function spread(f: Formula, real: Value, rows: number): Value {
  const n = Number(real.shape?.[0] ?? 1);
  if (n === rows) return real;
  return f.reshape(f.op('Expand', [f.reshape(real, [n, 1]), f.ints([n, rows / n])]), [rows]);
}

function featureLoss(f: Formula, d: Distillation): Value {
  const loss = FEATURE_LOSSES[d.featureLoss];
  const all = d.features.map(({ kind, student, teacher }) =>
    kind === 'state' ? loss(f, student, teacher) : RELATION_LOSSES[kind](f, student, teacher),
  );
  return f.div(f.total(all), all.length);
}

/** Losses that compare element by element need the same width. */
const SAME_WIDTH = new Set<FeatureLossName>(['mse', 'cosine']);

/**
 * Puts a learned projection behind student tensors whose width is not their teacher's: channels of
 * maps [N, C, H, W], the last axis of others. Returns the matches with what is compared, and the
 * projections, which are parameters that do not outlive the training.
 */
export function project(
  model: Model,
  matches: readonly Match[],
  loss: FeatureLossName,
  seed: number,
): { matches: Match[]; projections: Value[] } {
  const projections: Value[] = [];
  const g = new Builder(model.graph, undefined, (node) => inferNode(model, node));
  const projected = matches.map((match, i) => {
    const { kind, student, teacher } = match;
    const axis = student.shape?.length === 4 ? 1 : -1;
    const from = Number(student.shape?.at(axis) ?? 1);
    const to = Number(teacher.shape?.at(axis) ?? 1);
    if (kind !== 'state' || from === to || !SAME_WIDTH.has(loss)) return match;
    const random = new Random(seed, `projection ${i}`);
    const shape = axis === 1 ? [to, from, 1, 1] : [from, to];
    const values = Float32Array.from(
      { length: from * to },
      () => random.normal() / Math.sqrt(from),
    );
    const weight = g.constant(`#projection_${i}`, Tensor.of('float32', shape, values));
    projections.push(weight);
    return { ...match, student: g.op(axis === 1 ? 'Conv' : 'MatMul', [student, weight]) };
  });
  return { matches: projected, projections };
}
