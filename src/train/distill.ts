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
import { logitsOf, type Mean, meanOf, type Objective } from './objectives/objective.ts';
import type { Course } from './schedule.ts';

export interface Distillation {
  /** Told by labels; absent: the student learns from its teachers alone. */
  readonly hard?: Objective | undefined;
  /** What teachers say (`saidBy`), in the student's graph, and how much each counts. */
  readonly teachers: readonly { readonly output: Value; readonly weight: number }[];
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
      const { f, outputs, real } = c;
      const hard = d.hard?.build(c);
      const now = (name: string, course: Course) =>
        c.everyStep && course.from !== course.to
          ? c.everyStep(name, course)
          : f.number(course.to, 'float32');
      const soft = softLoss(
        f,
        outputs[0] as Value,
        d,
        () => now('temperature', d.temperature),
        real,
      );
      const count = hard?.loss.count ?? soft.count;
      const mean = ({ sum, count: n }: Mean) => f.div(sum, f.max(n, 1e-12));
      let loss = mean(soft);
      if (hard) {
        const share = now('alpha', d.alpha);
        const rest = f.op('Sub', [f.number(1, 'float32'), share]);
        loss = f.add(f.mul(loss, share), f.mul(mean(hard.loss), rest));
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

/** What the soft loss compares: the logits of an output for kl, the output itself for mse. */
export function saidBy(output: Value, soft: 'kl' | 'mse'): Value {
  return soft === 'kl' ? logitsOf(output, ['Softmax', 'LogSoftmax']) : output;
}

function softLoss(
  f: Formula,
  output: Value,
  d: Distillation,
  temperature: () => Value,
  real: Value | undefined,
): Mean {
  const student = saidBy(output, d.soft);
  const t = d.soft === 'kl' ? temperature() : undefined;
  const rows = d.teachers.map(({ output: teacher, weight }) =>
    f.mul(rowLosses(f, student, teacher, t), weight),
  );
  const total = f.total(rows);
  const size = Number(total.shape?.[0] ?? 1);
  return meanOf(f, total, real && spread(f, real, size));
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
