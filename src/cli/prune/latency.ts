// Pruning to a latency. A table of measured times per layer over widths (a few uniformly pruned models,
// profiled on the user's provider, kept in a cache) says what a choice of widths will take; the amount
// is searched in the table, the result is timed beside the original, and the amount is corrected until
// it is met.

import type { XformError } from '../../errors/error.ts';
import { latencyNotMet } from '../../errors/limit.ts';
import type { Model } from '../../graph/index.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { Contest } from '../../runtime/contest.ts';
import { LatencyTable, type TableOptions } from '../latency-table.ts';
import { type SpeedInput, timeAgainst } from '../quantize/keep-faster.ts';
import type { Ask, Pruned, Pruner } from './plan.ts';

/** Share of the asked latency that the result may be off. */
const TOLERANCE = 0.05;
const CORRECTIONS = 6;

export interface LatencyOptions extends TableOptions {
  /** Share of the time of the original. */
  readonly left: number;
}

export interface LatencyResult {
  readonly pruned: Pruned & { readonly speed: Contest };
  readonly unmet?: XformError | undefined;
}

interface Try {
  readonly pruned: Pruned;
  readonly speed: Contest;
  readonly amount: number;
  /** Of the time of the original. */
  readonly ratio: number;
}

export async function pruneToLatency(
  pruner: Pruner,
  model: Model,
  ask: Ask,
  speed: SpeedInput,
  options: LatencyOptions,
): Promise<LatencyResult> {
  const { reporter } = speed;
  const table = await LatencyTable.measure(pruner, model, speed, options);
  const { left } = options;
  const target = { name: 'latency', left, cost: (one: Model) => table.predict(one) };
  const first = await pruner(model, { ...ask, amount: undefined, target });
  const tried = [await timed(first, first.amount, speed)];
  for (let i = 0; i < CORRECTIONS && !isMet(best(tried, left), left); i++) {
    const amount = nextAmount(tried, left);
    reporter.detail(
      `${tried.at(-1)?.ratio.toFixed(3)} of the time; next amount ${amount.toFixed(4)}`,
    );
    if (tried.some((one) => Math.abs(one.amount - amount) < 1e-4)) break;
    const pruned = await pruner(model, { ...ask, amount });
    tried.push(await timed(pruned, amount, speed));
  }
  const found = best(tried, left);
  const isSlow = found.ratio > left * (1 + TOLERANCE);
  if (!isSlow && !isMet(found, left)) warnOff(reporter, found.ratio, left);
  return {
    pruned: { ...found.pruned, speed: found.speed },
    ...(isSlow ? { unmet: latencyNotMet(found.ratio, left) } : {}),
  };
}

async function timed(pruned: Pruned, amount: number, input: SpeedInput): Promise<Try> {
  const speed = await timeAgainst(input, pruned);
  return { pruned, amount, speed, ratio: speed.comparison.ratio };
}

function off({ ratio }: Try, left: number): number {
  return Math.abs(ratio / left - 1);
}

function isMet(one: Try, left: number): boolean {
  return off(one, left) <= TOLERANCE;
}

function best(tried: readonly Try[], left: number): Try {
  const sorted = [...tried].sort((a, b) => off(a, left) - off(b, left));
  return sorted[0] as Try;
}

/** Between the nearest that is too slow and the nearest that is too fast, as if times lay on a line. */
function nextAmount(tried: readonly Try[], left: number): number {
  const points = tried.map(({ amount, ratio }) => ({ amount, ratio }));
  const slow = [{ amount: 0, ratio: 1 }, ...points.filter(({ ratio }) => ratio > left)];
  const fast = [...points.filter(({ ratio }) => ratio <= left), { amount: 1, ratio: 0 }];
  const a = slow.reduce((x, y) => (y.amount > x.amount ? y : x));
  const b = fast.reduce((x, y) => (y.amount < x.amount ? y : x));
  if (a.ratio <= b.ratio) return (a.amount + b.amount) / 2;
  const amount = a.amount + ((b.amount - a.amount) * (a.ratio - left)) / (a.ratio - b.ratio);
  return Math.min(0.99, Math.max(0, amount));
}

function warnOff(reporter: Reporter, ratio: number, left: number): void {
  const message = `the result takes ${ratio.toFixed(3)} of the time of the original, less than the ${left} asked for: widths are no finer`;
  reporter.warn({ code: 'latency-below-target', message });
}
