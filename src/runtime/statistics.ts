// Robust figures for timings: percentiles, and confidence intervals by the percentile bootstrap
// (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13). Timings are skewed and their
// tails heavy, so medians, never means, carry the verdicts.

import { Random } from '../tensor/random.ts';

export interface Distribution {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** 95 % confidence interval of the median. */
  readonly p50_low: number;
  readonly p50_high: number;
  readonly runs: number;
}

export interface Ratio {
  /** Median of b over median of a. */
  readonly ratio: number;
  /** 95 % confidence interval. */
  readonly low: number;
  readonly high: number;
}

export type Verdict = 'faster' | 'slower' | 'no difference seen';

const RESAMPLES = 2000;

export function describe(samples: ArrayLike<number>, seed = 0): Distribution {
  const sorted = Float64Array.from(samples).sort();
  const medians = bootstrap(sorted.length, seed, (picked) => medianOf(picked, sorted));
  let sum = 0;
  for (const sample of sorted) sum += sample;
  return {
    p50: quantile(sorted, 0.5),
    p90: quantile(sorted, 0.9),
    p99: quantile(sorted, 0.99),
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    mean: sum / sorted.length,
    p50_low: quantile(medians, 0.025),
    p50_high: quantile(medians, 0.975),
    runs: sorted.length,
  };
}

/** How much longer b takes than a, from runs in turn: pair i was measured side by side. */
export function compareRuns(a: ArrayLike<number>, b: ArrayLike<number>, seed = 0): Ratio {
  const [left, right] = [Float64Array.from(a), Float64Array.from(b)];
  const count = Math.min(left.length, right.length);
  const ratios = bootstrap(
    count,
    seed,
    (picked) => medianOf(picked, right) / medianOf(picked, left),
  );
  return {
    ratio: quantile(right.sort(), 0.5) / quantile(left.sort(), 0.5),
    low: quantile(ratios, 0.025),
    high: quantile(ratios, 0.975),
  };
}

/** Linear interpolation between the order statistics (type 7, as in NumPy). */
export function quantile(sorted: Float64Array, q: number): number {
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(samples: ArrayLike<number>): number {
  return quantile(Float64Array.from(samples).sort(), 0.5);
}

/** The statistic over resamples of 0 … count - 1 with replacement, sorted. */
function bootstrap(
  count: number,
  seed: number,
  statistic: (picked: Uint32Array) => number,
): Float64Array {
  const random = new Random(seed, 'bootstrap');
  const picked = new Uint32Array(count);
  const results = new Float64Array(RESAMPLES);
  for (let i = 0; i < RESAMPLES; i++) {
    for (let j = 0; j < count; j++) picked[j] = random.integer(count);
    results[i] = statistic(picked);
  }
  return results.sort();
}

function medianOf(picked: Uint32Array, samples: Float64Array): number {
  const values = new Float64Array(picked.length);
  for (let i = 0; i < picked.length; i++) values[i] = samples[picked[i] as number] as number;
  return quantile(values.sort(), 0.5);
}
