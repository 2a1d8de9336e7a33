// Is a changed model faster than what it was made of? Both are run in turn on the same inputs.

import type { Feeds } from '../tensor/feeds.ts';
import { type Comparison, compareTimings } from './bench.ts';
import { timeInTurn } from './measure.ts';
import type { SessionOptions } from './options.ts';
import { type Distribution, describe } from './statistics.ts';

export interface Contest {
  readonly reference: Distribution;
  readonly contender: Distribution;
  /** Time of the contender by that of the reference. */
  readonly comparison: Comparison;
}

/** Shorter than a bench, as it is done in passing. */
const BUDGET_MS = 1500;
const ROUNDS = 2;

/** Two models in files, timed side by side. */
export async function contest(
  reference: string,
  contender: string,
  feeds: Feeds,
  options: SessionOptions,
  seed: number,
): Promise<Contest> {
  const shared = { feeds, options: { ...options, stopSpinning: true } };
  const contenders = [reference, contender].map((path) => ({ path, ...shared }));
  const timings = await timeInTurn(contenders, { budgetMs: BUDGET_MS, rounds: ROUNDS });
  const [a, b] = timings;
  if (!a || !b) throw new Error('two contenders have two timings');
  return {
    reference: describe(a.samples, seed),
    contender: describe(b.samples, seed),
    comparison: compareTimings(a, b, seed),
  };
}
