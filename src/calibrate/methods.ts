// From what was seen of a value to the range that its integers cover.

import type { Range } from '../tensor/affine.ts';
import { BINS, type Histogram } from './histogram.ts';
import type { Observer } from './observer.ts';

export const METHODS = ['minmax', 'moving-average', 'percentile', 'entropy', 'mse'] as const;
export type Method = (typeof METHODS)[number];

export interface MethodOptions {
  readonly method: Method;
  /** Share of values that method `percentile` keeps, in per cent; the rest is cut from both ends. */
  readonly percentile: number;
  /** Bits of the integers, for method `mse`. */
  readonly bits: number;
}

/** Whether the extremes alone will not do. */
export function needsHistogram(method: Method): boolean {
  return method !== 'minmax' && method !== 'moving-average';
}

export function rangeOf(observer: Observer, options: MethodOptions): Range {
  const { histogram, extremes } = observer;
  if (options.method === 'moving-average') return observer.averages;
  if (!histogram || extremes.min === extremes.max) return extremes;
  const chosen = choose(histogram, extremes, options);
  return {
    min: Math.max(extremes.min, chosen.min),
    max: Math.min(extremes.max, chosen.max),
  };
}

function choose(histogram: Histogram, extremes: Range, options: MethodOptions): Range {
  if (options.method === 'percentile') return percentileRange(histogram, options.percentile);
  if (options.method === 'entropy') return entropyRange(histogram, extremes);
  if (options.method === 'mse') return errorRange(histogram, extremes, options.bits);
  return extremes;
}

function total(counts: Float64Array): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}

/** Leaves out half of the rest on each side; inside of a bin values are taken to be spread evenly. */
function percentileRange(histogram: Histogram, percentile: number): Range {
  const { counts, width, limit } = histogram;
  const cut = (total(counts) * (100 - percentile)) / 200;
  const edge = (from: number, step: 1 | -1): number => {
    let left = cut;
    for (let bin = from; bin >= 0 && bin < BINS; bin += step) {
      const count = counts[bin] ?? 0;
      if (count > left) {
        const inside = left / count;
        return (step === 1 ? bin + inside : bin + 1 - inside) * width - limit;
      }
      left -= count;
    }
    return 0;
  };
  return { min: Math.min(0, edge(0, 1)), max: Math.max(0, edge(BINS - 1, -1)) };
}

/** Magnitudes: what int8 keeps of a histogram is 128 levels on each side. */
const LEVELS = 128;
const MAGNITUDES = 2048;

/**
 * The threshold on |x| with which the distribution after quantisation is nearest to the one before, by
 * the Kullback-Leibler divergence (Migacz, 8-bit Inference with TensorRT, 2017).
 */
function entropyRange(histogram: Histogram, extremes: Range): Range {
  const largest = Math.max(-extremes.min, extremes.max);
  const magnitudes = magnitudesOf(histogram, largest);
  let best = { divergence: Number.POSITIVE_INFINITY, bins: MAGNITUDES };
  for (let bins = LEVELS; bins <= MAGNITUDES; bins += LEVELS / 8) {
    const divergence = divergenceAt(magnitudes, bins);
    if (divergence < best.divergence) best = { divergence, bins };
  }
  const threshold = (largest * best.bins) / MAGNITUDES;
  return { min: -threshold, max: threshold };
}

/** Counts of |x| in bins over [0, largest]. */
function magnitudesOf({ counts, width, limit }: Histogram, largest: number): Float64Array {
  const magnitudes = new Float64Array(MAGNITUDES);
  counts.forEach((count, bin) => {
    if (count === 0) return;
    const center = Math.abs((bin + 0.5) * width - limit);
    const at = Math.min(MAGNITUDES - 1, Math.floor((center / largest) * MAGNITUDES));
    magnitudes[at] = (magnitudes[at] ?? 0) + count;
  });
  return magnitudes;
}

function divergenceAt(magnitudes: Float64Array, bins: number): number {
  const kept = magnitudes.slice(0, bins);
  const clipped = kept.slice();
  const beyond = total(magnitudes.subarray(bins));
  clipped[bins - 1] = (clipped[bins - 1] ?? 0) + beyond;
  const quantized = new Float64Array(bins);
  for (let level = 0; level < LEVELS; level++) {
    const from = Math.floor((level * bins) / LEVELS);
    const to = Math.floor(((level + 1) * bins) / LEVELS);
    spreadLevel(kept, quantized, from, to);
  }
  const [p, q] = [total(clipped), total(quantized)];
  if (p === 0 || q === 0) return Number.POSITIVE_INFINITY;
  let divergence = 0;
  for (let i = 0; i < bins; i++) {
    const [a, b] = [(clipped[i] ?? 0) / p, (quantized[i] ?? 0) / q];
    // Where quantisation has left nothing, a small floor keeps the logarithm finite.
    if (a > 0) divergence += a * Math.log(a / Math.max(b, 1e-12));
  }
  return divergence;
}

/** The counts of one level, evenly over those of its bins that had any. */
function spreadLevel(from: Float64Array, to: Float64Array, start: number, end: number): void {
  let sum = 0;
  let filled = 0;
  for (let i = start; i < end; i++) {
    sum += from[i] ?? 0;
    if ((from[i] ?? 0) > 0) filled += 1;
  }
  for (let i = start; i < end; i++) if ((from[i] ?? 0) > 0) to[i] = sum / filled;
}

/** Shares of the full range that are tried. */
const STEPS = 80;

/** The range with the least squared error: rounding inside, clipping outside; both sides, then each. */
function errorRange(histogram: Histogram, { min, max }: Range, bits: number): Range {
  const levels = 2 ** bits - 1;
  const [low, high] = [Math.min(0, min), Math.max(0, max)];
  const error = (a: number, b: number) => squaredError(histogram, low * a, high * b, levels);
  const shares = Array.from({ length: STEPS }, (_, i) => 1 - i / STEPS);
  const least = (cost: (share: number) => number) => {
    let best = { share: 1, error: Number.POSITIVE_INFINITY };
    for (const share of shares) {
      const found = cost(share);
      if (found < best.error) best = { share, error: found };
    }
    return best.share;
  };
  const both = least((share) => error(share, share));
  const upper = high > 0 ? least((share) => error(both, share)) : both;
  const lower = low < 0 ? least((share) => error(share, upper)) : both;
  return { min: low * lower, max: high * upper };
}

function squaredError(h: Histogram, min: number, max: number, levels: number): number {
  const step = (max - min) / levels;
  const rounding = (step * step) / 12;
  let sum = 0;
  const { counts, width, limit } = h;
  for (let bin = 0; bin < BINS; bin++) {
    const count = counts[bin] as number;
    if (count === 0) continue;
    const x = (bin + 0.5) * width - limit;
    const beyond = x < min ? min - x : x > max ? x - max : 0;
    sum += count * (beyond > 0 ? beyond * beyond : rounding);
  }
  return sum;
}
