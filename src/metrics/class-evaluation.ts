// The metrics of a choice of one class among several.

import type { ClassRow } from './classify.ts';
import {
  type ClassMetrics,
  defined,
  type Evaluation,
  type Metrics,
  meanOf,
  weightedMean,
  weightsOf,
} from './evaluation.ts';
import { ClassCounts } from './precision-recall.ts';
import { Roc } from './roc.ts';

/** Bins of the expected calibration error. */
const BINS = 15;

interface ClassOptions {
  readonly classes: number;
  readonly topK: readonly number[];
  readonly areProbabilities: boolean;
}

/**
 * Accuracy, top-k, precision, recall and F1, AUROC (of class 1 for two classes, else the mean of one
 * class against the rest), cross-entropy in nats (`loss`) and expected calibration error (`ece`).
 */
export class ClassEvaluation implements Evaluation {
  readonly correct: Uint8Array;
  readonly #rows: readonly ClassRow[];
  readonly #options: ClassOptions;
  /** By class; of class 1 only where there are two; none where scores were not kept. */
  readonly #rocs: readonly Roc[];
  readonly #losses: Float64Array;
  readonly #confidences: Float64Array;

  /** `scores` [rows, classes], or empty. */
  constructor(rows: readonly ClassRow[], scores: ArrayLike<number>, options: ClassOptions) {
    this.#rows = rows;
    this.#options = options;
    this.correct = Uint8Array.from(rows, (row) => (row.predicted === row.label ? 1 : 0));
    const { areProbabilities } = options;
    this.#losses = Float64Array.from(rows, ({ raw, logit }) => {
      return areProbabilities ? -Math.log(Math.max(raw.label, Number.EPSILON)) : -logit.label;
    });
    this.#confidences = Float64Array.from(rows, ({ raw, logit }) => {
      return areProbabilities ? raw.top : logit.top;
    });
    this.#rocs = scores.length > 0 ? this.#makeRocs(scores) : [];
  }

  get count(): number {
    return this.#rows.length;
  }

  #makeRocs(scores: ArrayLike<number>): Roc[] {
    const { classes } = this.#options;
    const chosen = classes === 2 ? [1] : Array.from({ length: classes }, (_, index) => index);
    return chosen.map((index) => {
      // In single precision, so that rounding does not tell equal probabilities apart.
      const column = Float32Array.from(this.#rows, (row, at) => {
        return this.#probability(row, scores[at * classes + index] as number);
      });
      return new Roc(column, (sample) => this.#rows[sample]?.label === index);
    });
  }

  #probability({ raw, logit }: ClassRow, score: number): number {
    return this.#options.areProbabilities ? score : Math.exp(score - raw.label + logit.label);
  }

  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    const { classes, topK } = this.#options;
    const metrics: Metrics = { accuracy: weightedMean(this.correct, weights) };
    for (const k of topK) {
      if (k >= classes) continue;
      const within = this.#rows.map((row) => (row.rank < k ? 1 : 0));
      metrics[`top${k}`] = weightedMean(within, weights);
    }
    const counts = this.#counts(weights);
    Object.assign(metrics, counts.means());
    if (classes === 2) {
      const { precision, recall, f1 } = counts.of(1);
      Object.assign(metrics, { precision, recall, f1 });
    }
    metrics['auroc'] = meanOf(this.#rocs.map((roc) => roc.area(weights)));
    metrics['loss'] = weightedMean(this.#losses, weights);
    metrics['ece'] = calibrationError(this.#confidences, this.correct, weights);
    return weights.length > 0 ? defined(metrics) : {};
  }

  perClass(): ClassMetrics[] {
    const weights = weightsOf(this.count);
    const isBinary = this.#options.classes === 2;
    return this.#counts(weights)
      .each()
      .map((row) => {
        const auroc = this.#rocs[isBinary ? 0 : row.class]?.area(weights) ?? Number.NaN;
        return { class: row.class, metrics: defined({ ...row.metrics, auroc }) };
      });
  }

  /** [label, predicted], row by row: how often a label was taken for a class. */
  confusion(samples?: ArrayLike<number>): Float64Array {
    const { classes } = this.#options;
    const weights = weightsOf(this.count, samples);
    const table = new Float64Array(classes * classes);
    this.#rows.forEach(({ label, predicted }, row) => {
      const at = label * classes + predicted;
      table[at] = (table[at] as number) + (weights[row] as number);
    });
    return table;
  }

  #counts(weights: Float64Array): ClassCounts {
    const counts = new ClassCounts(this.#options.classes);
    this.#rows.forEach(({ predicted, label }, row) => {
      counts.add(predicted, label, weights[row] as number);
    });
    return counts;
  }
}

/**
 * How far confidence is from accuracy, in bins (lower, upper] of equal width, weighted by their sizes.
 * Guo et al. 2017, "On calibration of modern neural networks".
 */
function calibrationError(
  confidences: Float64Array,
  correct: Uint8Array,
  weights: Float64Array,
): number {
  const gaps = new Float64Array(BINS);
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    const confidence = confidences[i] as number;
    const weight = weights[i] as number;
    const bin = Math.min(BINS - 1, Math.max(0, Math.ceil(confidence * BINS) - 1));
    gaps[bin] = (gaps[bin] as number) + weight * (confidence - (correct[i] as number));
    total += weight;
  }
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / total;
}
