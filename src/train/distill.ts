// Distillation as an objective: what the student is told by labels, mixed with what its teachers say.
// loss = (1 - α) · hard + α · soft + Σ weight · feature

import { Builder, type Model, type Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';
import { FEATURE_LOSSES, type FeatureLossName, softDivergence } from './distillation.ts';
import type { Formula } from './formula.ts';
import type { Match } from './matching.ts';
import { logitsOf, type Mean, meanOf, meanValue, type Objective } from './objectives/objective.ts';

export interface Distillation {
  /** Told by labels; absent: the student learns from its teachers alone. */
  readonly hard?: Objective | undefined;
  /** First outputs of the teachers, in the student's graph, and how much each counts. */
  readonly teachers: readonly { readonly output: Value; readonly weight: number }[];
  /** Share of the soft loss. */
  readonly alpha: number;
  readonly temperature: number;
  /** Divergence of distributions, or squared distance of outputs. */
  readonly soft: 'kl' | 'mse';
  readonly features: readonly Match[];
  readonly featureLoss: FeatureLossName;
  readonly featureWeight: number;
}

export function distilled(d: Distillation): Objective {
  return {
    summary: 'what teachers say',
    targets: (ends, settings) => d.hard?.targets(ends, settings) ?? [],
    build(c) {
      const { f, outputs, real } = c;
      const hard = d.hard?.build(c);
      const soft = softLoss(f, outputs[0] as Value, d, real);
      const share = hard ? d.alpha : 1;
      const count = hard?.loss.count ?? soft.count;
      let loss = f.mul(meanValue(f, soft), share);
      if (hard) loss = f.add(loss, f.mul(meanValue(f, hard.loss), 1 - share));
      const metrics = new Map(hard?.metrics);
      metrics.set('soft', soft);
      if (d.features.length > 0) {
        const feature = featureLoss(f, d);
        loss = f.add(loss, f.mul(feature, d.featureWeight));
        metrics.set('feature', { sum: feature, count: f.number(1, 'float32') });
      }
      return { loss: { sum: f.mul(loss, count), count }, metrics };
    },
  };
}

function softLoss(f: Formula, output: Value, d: Distillation, real: Value | undefined): Mean {
  const logits = (value: Value) => logitsOf(value, ['Softmax', 'LogSoftmax']);
  const student = d.soft === 'kl' ? logits(output) : output;
  const rows = d.teachers.map(({ output: teacher, weight }) => {
    const other = d.soft === 'kl' ? logits(teacher) : teacher;
    return f.mul(rowLosses(f, student, other, d), weight);
  });
  const total = f.total(rows);
  const size = Number(total.shape?.[0] ?? 1);
  return meanOf(f, total, real && spread(f, real, size));
}

/** [rows] */
function rowLosses(f: Formula, student: Value, teacher: Value, d: Distillation): Value {
  if (d.soft === 'kl') {
    return softDivergence(f, student, teacher, f.number(d.temperature, 'float32'));
  }
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
  const all = d.features.map(({ student, teacher }) => loss(f, student, teacher));
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
  const projected = matches.map(({ student, teacher }, i) => {
    const axis = student.shape?.length === 4 ? 1 : -1;
    const from = Number(student.shape?.at(axis) ?? 1);
    const to = Number(teacher.shape?.at(axis) ?? 1);
    if (from === to || !SAME_WIDTH.has(loss)) return { student, teacher };
    const random = new Random(seed, `projection ${i}`);
    const shape = axis === 1 ? [to, from, 1, 1] : [from, to];
    const values = Float32Array.from(
      { length: from * to },
      () => random.normal() / Math.sqrt(from),
    );
    const weight = g.constant(`#projection_${i}`, Tensor.of('float32', shape, values));
    projections.push(weight);
    return { student: g.op(axis === 1 ? 'Conv' : 'MatMul', [student, weight]), teacher };
  });
  return { matches: projected, projections };
}
