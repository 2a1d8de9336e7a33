// What one model did on the data of one task, compact enough to be resampled: metrics are functions of
// a multiset of samples, so that the bootstrap needs nothing else.

export type Metrics = Record<string, number>;

export interface Evaluation {
  /** Samples. */
  readonly count: number;
  /**
   * Metrics of these samples, or of all; a sample that is named twice counts twice. One that is not
   * defined (no positive sample, a constant target) is left out; none is NaN.
   */
  compute(samples?: ArrayLike<number>): Metrics;
  /** Per sample, whether it was right (1) or not (0), where that is what the metric is made of. */
  hits?(): Uint8Array;
  /** What is more than a number: per class, a confusion matrix. Of all samples. */
  details?(): object;
}

/** Errors and times: less is better. Everything else: more is. */
const LOWER_IS_BETTER =
  /^(mae|rmse|mse|mape|smape|mase|loss|perplexity|bits_per_byte|calibration_error)/;

export function isHigherBetter(metric: string): boolean {
  return !LOWER_IS_BETTER.test(metric);
}

/** Only what is defined. */
export function defined(metrics: Readonly<Record<string, number | undefined>>): Metrics {
  const found: Metrics = {};
  for (const [name, value] of Object.entries(metrics)) {
    if (value !== undefined && Number.isFinite(value)) found[name] = value;
  }
  return found;
}

/** 0 … count - 1, where no samples are named. */
export function chosen(samples: ArrayLike<number> | undefined, count: number): ArrayLike<number> {
  return samples ?? Int32Array.from({ length: count }, (_, i) => i);
}
