// A learning rate from a range test (Smith 2017): the rate grows exponentially over some updates from
// the given weights, and the loss tells what is too little and what is too much. The weights that the
// test makes are thrown away.

import { rateUnclear } from '../errors/train.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Clock, stepInputs } from './clock.ts';
import { STEPS } from './loop.ts';
import { nextState, type State } from './trainer.ts';

export interface RateRange {
  readonly chosen: number;
  /** Where the loss fell fastest, by decade of the rate. */
  readonly steepest: number;
  /** Where the loss was lowest; a little above it, it grows. */
  readonly lowest: number;
  /** Where the test ended: the loss had grown out of hand, or the rates were through. */
  readonly end: number;
  /** What the choice went by: an untrained model falls, a trained one stays until it breaks. */
  readonly rule: 'fall' | 'end';
  readonly curve: readonly RatePoint[];
}

export interface RatePoint {
  readonly rate: number;
  /** Of this update alone, and smoothed. */
  readonly loss: number;
  readonly smoothed: number;
}

export interface RangeContext {
  run(feeds: Feeds): Promise<Feeds>;
  /** Stacked data of the steps from `step` on. */
  feed(step: number, count: number): Promise<Feeds>;
  isStopped?: (() => boolean) | undefined;
}

const LEAST = 1e-6;
const MOST = 10;
const UPDATES = 100;
/** Share of the old in the moving average of the loss. */
const SMOOTH = 0.9;
/** The test ends where the smoothed loss is so many times the lowest. */
const DIVERGED = 4;
/** Updates that tell the first loss and its noise. */
const SETTLED = 10;
/** Updates to either side that tell a slope. */
const REACH = 5;

/** The rate of an update of the test, from 0. */
export function rangeRate(update: number): number {
  return LEAST * (MOST / LEAST) ** (update / (UPDATES - 1));
}

/** Runs the test from `state`, which stays as it is; `stepsPerEpoch` bounds what is fed at once. */
export async function rangeTest(
  plan: Pick<Clock, 'graph' | 'accumulate' | 'steps'> & { readonly stepsPerEpoch: number },
  context: RangeContext,
  start: State,
): Promise<RateRange> {
  const clock: Clock = { ...plan, rate: rangeRate };
  const losses: number[] = [];
  let state = start;
  let [step, sum] = [0, 0];
  while (losses.length < UPDATES && !hasDiverged(losses) && !context.isStopped?.()) {
    // Data is fed for one update at most, and of one epoch.
    const room = plan.stepsPerEpoch - (step % plan.stepsPerEpoch);
    const count = Math.min(plan.accumulate - (step % plan.accumulate), room);
    const feeds = new Map([
      ...(await context.feed(step, count)),
      ...state,
      ...stepInputs(clock, step, count),
    ]);
    const results = await context.run(feeds.set(STEPS, Tensor.scalar('int64', count)));
    state = nextState(plan.graph, results);
    const found = results.get(plan.graph.reports.get('loss') ?? '')?.values() as Float32Array;
    sum += found.reduce((all, loss) => all + loss, 0);
    step += count;
    if (step % plan.accumulate > 0) continue;
    losses.push(sum / plan.accumulate);
    sum = 0;
  }
  return chooseRate(losses);
}

function hasDiverged(losses: readonly number[]): boolean {
  if (!Number.isFinite(losses.at(-1) ?? 0)) return true;
  const smoothed = smooth(losses);
  const last = smoothed.at(-1) ?? 0;
  return losses.length > SETTLED && last > DIVERGED * Math.min(...smoothed);
}

/**
 * A rate from the losses of updates 0, 1, … of the test. Where the loss falls by more than its noise:
 * the rate of the steepest fall, but no more than a tenth of that of the lowest loss. Else a tenth of
 * the rate at the end. Throws where the first losses are no numbers.
 */
export function chooseRate(losses: readonly number[]): RateRange {
  const finite = losses.slice(0, losses.findIndex((loss) => !Number.isFinite(loss)) >>> 0);
  if (finite.length <= SETTLED) throw rateUnclear(finite.length);
  const smoothed = smooth(finite);
  const lowest = smoothed.indexOf(Math.min(...smoothed));
  const falls = smoothed.slice(0, lowest + 1).map((_, i) => slope(smoothed, i));
  const steepest = rangeRate(falls.indexOf(Math.min(...falls)));
  const end = rangeRate(finite.length - 1);
  const first = finite.slice(0, SETTLED);
  const fall = mean(first) - (smoothed[lowest] as number);
  const rule = fall > 2 * deviation(first) ? 'fall' : 'end';
  const chosen = rule === 'fall' ? Math.min(steepest, rangeRate(lowest) / 10) : end / 10;
  const point = (loss: number, i: number) => {
    return { rate: rangeRate(i), loss, smoothed: smoothed[i] as number };
  };
  return {
    chosen: Number(chosen.toPrecision(2)),
    rule,
    steepest,
    lowest: rangeRate(lowest),
    end,
    curve: finite.map(point),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

/** The moving average of so many losses, without its bias to zero. */
function smooth(losses: readonly number[]): number[] {
  let sum = 0;
  return losses.map((loss, i) => {
    sum = SMOOTH * sum + (1 - SMOOTH) * loss;
    return sum / (1 - SMOOTH ** (i + 1));
  });
}

/** Change per update around a point, by least squares. */
function slope(values: readonly number[], at: number): number {
  const from = Math.max(0, at - REACH);
  const near = values.slice(from, at + REACH + 1);
  const middle = (near.length - 1) / 2;
  const sum = (of: (i: number) => number) => near.reduce((all, _, i) => all + of(i), 0);
  const product = sum((i) => (i - middle) * (near[i] as number));
  return product / sum((i) => (i - middle) ** 2);
}
