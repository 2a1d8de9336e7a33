// How far chance goes: percentile intervals, and paired comparisons of two models on the same samples
// (Efron and Tibshirani 1993, chapters 13 and 16; for pairs of systems Koehn 2004).

import { Random } from '../tensor/random.ts';
import { type Evaluation, isHigherBetter, type Metrics } from './evaluation.ts';

export interface BootstrapOptions {
  readonly resamples: number;
  readonly seed: number;
}

export interface Comparison {
  /** Second minus first. */
  readonly difference: number;
  /** 95 % interval of the difference. */
  readonly low: number;
  readonly high: number;
  /** Two-sided: of the difference being chance. Accuracy: McNemar's exact test; else by resampling. */
  readonly pValue: number;
  /** Whether the second is the better one. */
  readonly better: boolean;
}

type Interval = readonly [low: number, high: number];

/** 95 % intervals of each metric. */
export function intervals(
  evaluation: Evaluation,
  options: BootstrapOptions,
): Record<string, Interval> {
  const draws = new Map<string, number[]>();
  for (const samples of resamples(evaluation.count, options)) {
    for (const [name, value] of Object.entries(evaluation.compute(samples))) {
      const list = draws.get(name) ?? [];
      list.push(value);
      draws.set(name, list);
    }
  }
  return Object.fromEntries([...draws].map(([name, values]) => [name, central(values)]));
}

/** Differences of two models that saw the same samples in the same order. */
export function compare(
  first: Evaluation,
  second: Evaluation,
  options: BootstrapOptions,
): Record<string, Comparison> {
  if (first.count !== second.count) return {};
  const [a, b] = [first.compute(), second.compute()];
  const draws = new Map<string, number[]>();
  for (const samples of resamples(first.count, options)) {
    const found = differences(first.compute(samples), second.compute(samples));
    for (const [name, value] of Object.entries(found)) {
      const list = draws.get(name) ?? [];
      list.push(value);
      draws.set(name, list);
    }
  }
  const exact = mcNemar(first, second);
  return Object.fromEntries(
    Object.entries(differences(a, b)).map(([name, difference]) => {
      const values = draws.get(name) ?? [];
      const [low, high] = central(values);
      const pValue = name === 'accuracy' && exact !== undefined ? exact : chance(values);
      const better = difference !== 0 && difference > 0 === isHigherBetter(name);
      return [name, { difference, low, high, pValue, better }];
    }),
  );
}

/** Random multisets of the samples, of the same size. */
function* resamples(count: number, { resamples: times, seed }: BootstrapOptions) {
  const random = new Random(seed, 'bootstrap');
  for (let i = 0; i < times; i++) {
    const samples = new Int32Array(count);
    for (let j = 0; j < count; j++) samples[j] = random.integer(count);
    yield samples;
  }
}

function differences(a: Metrics, b: Metrics): Metrics {
  const names = Object.keys(a).filter((name) => name in b);
  return Object.fromEntries(names.map((name) => [name, (b[name] as number) - (a[name] as number)]));
}

/** The middle 95 %, between order statistics as NumPy's percentile has it. */
function central(values: readonly number[]): Interval {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const [a = Number.NaN, b = a] = [sorted[below], sorted[below + 1]];
    return a + (b - a) * (place - below);
  };
  return [at(0.025), at(0.975)];
}

/** Twice the share of resamples on the other side of 0, never below what their number can tell. */
function chance(values: readonly number[]): number {
  const below = values.filter((value) => value <= 0).length;
  const above = values.filter((value) => value >= 0).length;
  const tail = (Math.min(below, above) + 1) / (values.length + 1);
  return Math.min(1, 2 * tail);
}

/** The exact binomial test on the samples that only one of them has right (McNemar 1947). */
function mcNemar(first: Evaluation, second: Evaluation): number | undefined {
  const [a, b] = [first.hits?.(), second.hits?.()];
  if (!a || !b) return undefined;
  let [onlyA, onlyB] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (a[i] && !b[i]) onlyA += 1;
    if (b[i] && !a[i]) onlyB += 1;
  }
  return signTest(Math.min(onlyA, onlyB), onlyA + onlyB);
}

/** Two-sided probability of `few` or fewer of `count` fair coins. */
export function signTest(few: number, count: number): number {
  let logChoose = 0;
  let sum = 0;
  for (let i = 0; i <= few; i++) {
    sum += Math.exp(logChoose - count * Math.LN2);
    logChoose += Math.log((count - i) / (i + 1));
  }
  return Math.min(1, 2 * sum);
}
