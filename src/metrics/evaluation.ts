// What every task metric has in common: an accumulator takes batches (`add`) and ends in an Evaluation
// (`finish`), which can say its metrics for any multiset of its samples. That is what resampling
// (bootstrap.ts) needs; it is why accumulators keep statistics per sample and not running totals.

/** Plain numbers in any array; 64-bit integers come as bigints. */
export type Values = ArrayLike<number | bigint>;

/** Values by metric name. Never NaN: a metric that is undefined is left out. */
export type Metrics = Record<string, number>;

/** Everything one model did on the data of one task. */
export interface Evaluation {
  /** Number of samples (rows, images, sentences, questions). */
  readonly count: number;
  /** The metrics of these samples, all when absent. Repeated indices count repeatedly. */
  compute(samples?: ArrayLike<number>): Metrics;
  /** 1 where a sample was done right, 0 where not, for tasks that have that: for McNemar's test. */
  readonly correct?: ArrayLike<number>;
  /** Metrics of single classes, for tasks that have them. */
  perClass?(): ClassMetrics[];
  /** [label, predicted], row by row: how often a label was taken for a class. */
  confusion?(samples?: ArrayLike<number>): Float64Array;
}

export interface ClassMetrics {
  /** Index of the class, or its identifier where the task has such (COCO). */
  readonly class: number;
  readonly metrics: Metrics;
}

/**
 * How often each of `count` samples is to be counted: metrics are functions of these weights, so that
 * what is sorted once stays sorted for every resample.
 */
export function weightsOf(count: number, samples?: ArrayLike<number>): Float64Array {
  const weights = new Float64Array(count);
  if (samples === undefined) return weights.fill(1);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i] as number;
    weights[sample] = (weights[sample] as number) + 1;
  }
  return weights;
}

/** 0 … count - 1, where no samples are named. */
export function samplesOf(
  samples: ArrayLike<number> | undefined,
  count: number,
): ArrayLike<number> {
  return samples ?? Int32Array.from({ length: count }, (_, i) => i);
}

/** Leaves out what is undefined: NaN (a division by nothing) and infinities. */
export function defined(metrics: Metrics): Metrics {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
}

/** `Σ weight · value / Σ weight`; NaN without weight. */
export function weightedMean(values: ArrayLike<number>, weights: Float64Array): number {
  let [sum, total] = [0, 0];
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] as number;
    if (weight === 0) continue;
    sum += weight * (values[i] as number);
    total += weight;
  }
  return sum / total;
}

/** The mean of what is a number; NaN where nothing is. */
export function meanOf(values: Iterable<number>): number {
  let [sum, count] = [0, 0];
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count += 1;
  }
  return sum / count;
}
