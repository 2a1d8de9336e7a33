// Distillation as an objective: what the student is told by labels, mixed with what its teachers say.
// loss = (1 - α) · hard + α · soft + Σ weight · feature

import { Builder, type Model, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
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
} from './objectives/objective.ts';
import type { Course } from './schedule.ts';

export interface Distillation {
  /** Told by labels; absent: the student learns from its teachers alone. */
  readonly hard?: Objective | undefined;
  /** What teachers say (`saidBy`), in the student's graph, and how much each counts. */
  readonly teachers: readonly { readonly outputs: readonly Value[]; readonly weight: number }[];
  /** Share of the soft loss. */
  readonly alpha: Course;
  readonly temperature: Course;
  /** Divergence of distributions, or squared distance of outputs. */
  readonly soft: 'kl' | 'mse';
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

/** What the soft loss compares: the logits of the first output for kl, all that are float for mse. */
export function saidBy(outputs: readonly Value[], soft: 'kl' | 'mse'): Value[] {
  if (soft === 'kl') return outputs.slice(0, 1).map((o) => logitsOf(o, ['Softmax', 'LogSoftmax']));
  return outputs.filter(({ dtype }) => dtype === 'float32');
}

/** kl where an output is a distribution over classes or tokens, mse for numbers, boxes and maps. */
export function softFor({ inputs, outputs }: Ends, objective: Objective | undefined): 'kl' | 'mse' {
  if (objective && NUMBERS.has(objective)) return 'mse';
  const shape = outputs[0]?.shape ?? [];
  const isOverClasses = shape.length === 2 && shape[1] !== 1;
  const isOverTokens = shape.length === 3 && tokenInput({ inputs, outputs }) !== undefined;
  return isOverClasses || isOverTokens ? 'kl' : 'mse';
}

const NUMBERS = new Set<Objective>([OBJECTIVES.regress, OBJECTIVES.reconstruct, OBJECTIVES.detect]);

function softLoss(c: ObjectiveContext, d: Distillation, temperature: () => Value): Mean {
  const { f, outputs, real } = c;
  const own = saidBy(outputs, d.soft);
  const t = d.soft === 'kl' ? temperature() : undefined;
  const rows = d.teachers.map(({ outputs: said, weight }) => {
    const losses = said.map((output, i) => rowLosses(f, own[i] as Value, output, t));
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
function rowLosses(f: Formula, student: Value, teacher: Value, t: Value | undefined): Value {
  if (t) return softDivergence(f, student, teacher, t);
  const [n = 1, ...rest] = (student.shape ?? []).map(Number);
  const size = rest.reduce((a, b) => a * b, 1);
  return f.mean(f.square(f.reshape(f.sub(student, teacher), [n, size])), [1]);
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
