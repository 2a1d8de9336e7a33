// The evaluation of metrics that are means of one value per sample.

import { defined, type Evaluation, type Metrics, weightedMean, weightsOf } from './evaluation.ts';

export class MeansEvaluation implements Evaluation {
  readonly count: number;
  readonly #values: Readonly<Record<string, ArrayLike<number>>>;

  /** Values per sample, by metric; NaN where a metric has nothing to say about a sample. */
  constructor(count: number, values: Readonly<Record<string, ArrayLike<number>>>) {
    this.count = count;
    this.#values = values;
  }

  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    const rows = Object.entries(this.#values);
    return defined(
      Object.fromEntries(rows.map(([name, values]) => [name, weightedMean(values, weights)])),
    );
  }
}
