// How sure a metric is, and a difference of two models: the bootstrap (Efron, 1979), percentile
// intervals of 95 %, and McNemar's exact test (1947) for what is right or wrong per sample.

import { Random } from '../tensor/random.ts';
import { directionOf } from './directions.ts';
import type { Evaluation, Metrics } from './evaluation.ts';

export interface BootstrapOptions {
  /** How often the samples are drawn again; 1000 unless said. */
  readonly resamples?: number;
  readonly seed?: number;
}

/** Bounds that hold a value with 95 % confidence. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Difference extends Interval {
  /** `b` less `a`. */
  readonly difference: number;
  /** Two-sided: how often a difference as far from 0 comes about where there is none. */
  readonly p: number;
  /** `better` and `worse` only where the interval does not hold 0 and p is below 0.05. */
  readonly verdict: 'better' | 'worse' | 'unclear';
}

export interface Comparison {
  /** By metric that both have. */
  readonly differences: Record<string, Difference>;
  /** For tasks where a sample is right or wrong; not there otherwise. */
  readonly mcnemar?: McNemar;
}

export interface McNemar {
  /** Samples that only `a`, and only `b`, did right. */
  readonly onlyA: number;
  readonly onlyB: number;
  readonly p: number;
}

/** A 95 % interval per metric of all samples; metrics that no resample defines have none. */
export function intervals(
  evaluation: Evaluation,
  options: BootstrapOptions = {},
): Record<string, Interval> {
  const drawn = new Map<string, number[]>();
  for (const metrics of drawsOf(evaluation, options)) {
    for (const [name, value] of Object.entries(metrics)) push(drawn, name, value);
  }
  return Object.fromEntries([...drawn].map(([name, values]) => [name, intervalOf(values)]));
}

/** What `b` has over `a` on the same samples, in the same order. */
export function compare(a: Evaluation, b: Evaluation, options: BootstrapOptions = {}): Comparison {
  if (a.count !== b.count) throw new RangeError(`${a.count} samples beside ${b.count}`);
  const drawn = new Map<string, number[]>();
  const others = drawsOf(b, options);
  drawsOf(a, options).forEach((metrics, i) => {
    for (const [name, value] of Object.entries(metrics)) {
      const other = others[i]?.[name];
      if (other !== undefined) push(drawn, name, other - value);
    }
  });
  const [before, after] = [a.compute(), b.compute()];
  const differences: Record<string, Difference> = {};
  for (const [name, values] of drawn) {
    const [own, other] = [before[name], after[name]];
    if (own === undefined || other === undefined) continue;
    differences[name] = differenceOf(name, other - own, values);
  }
  if (!a.correct || !b.correct) return { differences };
  const exact = mcnemar(a.correct, b.correct);
  const { accuracy } = differences;
  if (accuracy) differences.accuracy = judgedBy(exact.p, accuracy);
  return { differences, mcnemar: exact };
}

/** An exact test has the last word over a bootstrap that is a little too sure of few samples. */
function judgedBy(p: number, found: Difference): Difference {
  return { ...found, p, verdict: p < 0.05 ? found.verdict : 'unclear' };
}

/** McNemar's test, exact: the samples on which the two differ, as tosses of a fair coin. */
export function mcnemar(a: ArrayLike<number>, b: ArrayLike<number>): McNemar {
  let [onlyA, onlyB] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if ((a[i] as number) > (b[i] as number)) onlyA += 1;
    if ((b[i] as number) > (a[i] as number)) onlyB += 1;
  }
  const [fewer, all] = [Math.min(onlyA, onlyB), onlyA + onlyB];
  return { onlyA, onlyB, p: Math.min(1, 2 * tosses(fewer, all)) };
}

/** The chance of at most `heads` heads in `all` tosses. */
function tosses(heads: number, all: number): number {
  // From the largest term downwards, relative to it: 2^-all itself may be too small for a number.
  let [largest, sum, term] = [-all * Math.LN2, 1, 1];
  for (let k = 1; k <= heads; k++) largest += Math.log((all - k + 1) / k);
  for (let k = heads; k > 0; k--) {
    term *= k / (all - k + 1);
    sum += term;
  }
  return Math.exp(largest) * sum;
}

const drawsKept = new WeakMap<Evaluation, { readonly key: string; readonly draws: Metrics[] }>();

/** Metrics of each resample; kept, as a model stands in an interval and in comparisons. */
function drawsOf(evaluation: Evaluation, options: BootstrapOptions): readonly Metrics[] {
  const key = JSON.stringify(options);
  const kept = drawsKept.get(evaluation);
  if (kept?.key === key) return kept.draws;
  const samples = resamplesOf(evaluation.count, options);
  const draws = Array.from(samples, (one) => evaluation.compute(one));
  drawsKept.set(evaluation, { key, draws });
  return draws;
}

function* resamplesOf(count: number, { resamples = 1000, seed = 0 }: BootstrapOptions) {
  const random = new Random(seed, 'bootstrap');
  const samples = new Uint32Array(count);
  for (let i = 0; i < resamples; i++) {
    yield samples.map(() => random.integer(count));
  }
}

function push(lists: Map<string, number[]>, name: string, value: number): void {
  const list = lists.get(name);
  if (list) list.push(value);
  else lists.set(name, [value]);
}

function differenceOf(name: string, difference: number, drawn: readonly number[]): Difference {
  const interval = intervalOf(drawn);
  const below = drawn.filter((value) => value <= 0).length;
  const above = drawn.filter((value) => value >= 0).length;
  // The data itself counts as one draw, so that no chance is ever 0 (Davison and Hinkley, 1997).
  const p = Math.min(1, (2 * (Math.min(below, above) + 1)) / (drawn.length + 1));
  return { difference, ...interval, p, verdict: verdictOf(name, interval) };
}

function verdictOf(name: string, { low, high }: Interval): Difference['verdict'] {
  if (low <= 0 && high >= 0) return 'unclear';
  const isUp = low > 0;
  const direction = directionOf(name);
  if (direction === undefined) return 'unclear';
  return isUp === (direction === 'higher') ? 'better' : 'worse';
}

function intervalOf(values: readonly number[]): Interval {
  const sorted = Float64Array.from(values).sort();
  return { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
}

/** Linear between neighbours, as NumPy does. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number];
  return below + (above - below) * (at - Math.floor(at));
}
