// The metrics of several labels per sample, each of them yes or no.

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

/** Accuracy is the share of samples with all labels right; the loss is binary cross-entropy in nats. */
export class LabelsEvaluation implements Evaluation {
  readonly count: number;
  readonly correct: Uint8Array;
  readonly #classes: number;
  readonly #labels: Uint8Array;
  readonly #predicted: Uint8Array;
  readonly #losses: Float64Array;
  readonly #rocs: readonly Roc[];

  /** `scores` and `labels` [samples, classes]. */
  constructor(
    scores: Float32Array,
    labels: Uint8Array,
    classes: number,
    areProbabilities: boolean,
  ) {
    this.#classes = classes;
    this.#labels = labels;
    this.count = labels.length / classes;
    const threshold = areProbabilities ? 0.5 : 0;
    this.#predicted = Uint8Array.from(scores, (score) => (score > threshold ? 1 : 0));
    this.correct = new Uint8Array(this.count).fill(1);
    this.#losses = new Float64Array(this.count);
    const loss = areProbabilities ? lossOfProbability : lossOfLogit;
    for (let i = 0; i < labels.length; i++) {
      const sample = Math.floor(i / classes);
      if (this.#predicted[i] !== labels[i]) this.correct[sample] = 0;
      const own = loss(scores[i] as number, labels[i] === 1) / classes;
      this.#losses[sample] = (this.#losses[sample] as number) + own;
    }
    this.#rocs = Array.from({ length: classes }, (_, of) => {
      const column = Float32Array.from(
        { length: this.count },
        (_, i) => scores[i * classes + of] as number,
      );
      return new Roc(column, (sample) => labels[sample * classes + of] === 1);
    });
  }

  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    return defined({
      accuracy: weightedMean(this.correct, weights),
      ...this.#counts(weights).means(true),
      auroc: meanOf(this.#rocs.map((roc) => roc.area(weights))),
      loss: weightedMean(this.#losses, weights),
    });
  }

  perClass(): ClassMetrics[] {
    const weights = weightsOf(this.count);
    return this.#counts(weights)
      .each()
      .map((row) => {
        const auroc = this.#rocs[row.class]?.area(weights) ?? Number.NaN;
        return { class: row.class, metrics: defined({ ...row.metrics, auroc }) };
      });
  }

  #counts(weights: Float64Array): ClassCounts {
    const counts = new ClassCounts(this.#classes);
    for (let i = 0; i < this.#labels.length; i++) {
      const weight = weights[Math.floor(i / this.#classes)] as number;
      counts.addLabel(i % this.#classes, this.#predicted[i] === 1, this.#labels[i] === 1, weight);
    }
    return counts;
  }
}

function lossOfProbability(probability: number, isLabel: boolean): number {
  return -Math.log(Math.max(isLabel ? probability : 1 - probability, Number.EPSILON));
}

/** log(1 + exp(∓x)), without overflow. */
function lossOfLogit(logit: number, isLabel: boolean): number {
  const x = isLabel ? -logit : logit;
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
