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
  const ranked = new Ranked(samples);
  const { sorted } = ranked;
  const medians = bootstrap(sorted.length, seed, (picked) => ranked.median(picked));
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
  const [left, right] = [new Ranked(a), new Ranked(b)];
  const count = Math.min(a.length, b.length);
  const ratios = bootstrap(count, seed, (picked) => right.median(picked) / left.median(picked));
  return {
    ratio: quantile(right.sorted, 0.5) / quantile(left.sorted, 0.5),
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

/** Samples with their ranks, so that the median of a resample needs counting but no sorting. */
class Ranked {
  readonly sorted: Float64Array;
  readonly #ranks: Uint32Array;
  readonly #counts: Uint32Array;

  constructor(samples: ArrayLike<number>) {
    const order = Uint32Array.from(samples, (_, i) => i);
    order.sort((i, j) => (samples[i] ?? 0) - (samples[j] ?? 0));
    this.sorted = Float64Array.from(order, (i) => samples[i] ?? Number.NaN);
    this.#ranks = new Uint32Array(order.length);
    order.forEach((sample, rank) => {
      this.#ranks[sample] = rank;
    });
    this.#counts = new Uint32Array(order.length);
  }

  /** The median of the samples picked, with repetitions. */
  median(picked: Uint32Array): number {
    const counts = this.#counts.fill(0);
    for (const sample of picked) {
      const rank = this.#ranks[sample] as number;
      counts[rank] = (counts[rank] as number) + 1;
    }
    const upper = Math.floor(picked.length / 2);
    const lower = picked.length % 2 === 0 ? upper - 1 : upper;
    let seen = 0;
    let below = -1;
    for (let rank = 0; rank < counts.length; rank++) {
      seen += counts[rank] as number;
      if (below < 0 && seen > lower) below = rank;
      if (seen > upper) {
        return ((this.sorted[below] as number) + (this.sorted[rank] as number)) / 2;
      }
    }
    return Number.NaN;
  }
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
    // 32 bits are plenty for so few samples, and half the work of 53.
    for (let j = 0; j < count; j++) picked[j] = (random.bits() / 2 ** 32) * count;
    results[i] = statistic(picked);
  }
  return results.sort();
}
