// Latency of several models side by side: fresh sessions in each round, warmed up until they are
// stable, then run in turn, A B A B, so that whatever else the machine does strikes all alike.

import type { Feeds } from '../tensor/feeds.ts';
import { Host } from './host.ts';
import type { SessionOptions } from './options.ts';
import { type Timed, toWire } from './protocol.ts';
import { explain, openOn } from './session.ts';
import { median } from './statistics.ts';

export interface Contender {
  readonly path: string;
  readonly feeds: Feeds;
  readonly options: SessionOptions;
}

export interface TimingPlan {
  /** Runs of each model; undefined: as many as the time allows. */
  readonly runs?: number | undefined;
  /** Runs before it counts; undefined: until stable. */
  readonly warmup?: number | undefined;
  /** Milliseconds for the counted runs when their number is not given, all models together. */
  readonly budgetMs?: number | undefined;
  /** Rounds of fresh sessions. */
  readonly rounds?: number | undefined;
  /** Called after each slice of work with the fraction done. */
  readonly onProgress?: (fraction: number) => void;
}

export interface Timing {
  /** Milliseconds of each run, in order; position i of all models was measured together. */
  readonly samples: readonly number[];
  /** Where each round of fresh sessions begins among the samples. */
  readonly rounds: readonly number[];
  /** Milliseconds of each session's creation. */
  readonly loads: readonly number[];
  /** Runs before it counted, over all rounds. */
  readonly warmupRuns: number;
}

/** Fresh sessions differ by a few per cent (memory layout): one alone must not decide. */
const ROUNDS = 3;
/** Models that take longer to load, or for one turn, get one round. */
const SLOW_LOAD_MS = 2000;
const SLOW_TURN_MS = 200;
const BUDGET_MS = 4000;
const MIN_RUNS = 10;
const MAX_RUNS = 1000;
/** One call into the thread takes about this long, so that Ctrl-C and progress go on. */
const SLICE_MS = 200;
/** Stable: medians of two windows in a row agree within this. */
const STABLE = 0.03;
const WINDOW_RUNS = 5;
const MAX_WINDOWS = 20;
const MAX_WARMUP_MS = 2000;

/** Times every contender; the results are in their order. */
export async function timeInTurn(
  contenders: readonly Contender[],
  plan: TimingPlan = {},
): Promise<Timing[]> {
  const timings = contenders.map(() => ({
    samples: [] as number[],
    rounds: [] as number[],
    loads: [] as number[],
    warmupRuns: 0,
  }));
  const host = new Host();
  try {
    let rounds = plan.rounds ?? ROUNDS;
    for (let round = 0; round < rounds; round++) {
      rounds = await oneRound(host, contenders, plan, { round, rounds }, timings);
    }
  } catch (error) {
    throw explain(error, 'run', contenders.map(({ path }) => path).join(', '));
  } finally {
    await host.terminate();
  }
  return timings;
}

interface Growing {
  readonly samples: number[];
  readonly rounds: number[];
  readonly loads: number[];
  warmupRuns: number;
}

/** Returns how many rounds there should be, which only the first one changes. */
async function oneRound(
  host: Host,
  contenders: readonly Contender[],
  plan: TimingPlan,
  { round, rounds: planned }: { readonly round: number; readonly rounds: number },
  timings: readonly Growing[],
): Promise<number> {
  const items: Timed[] = [];
  // Who is loaded first changes from round to round.
  for (let i = 0; i < contenders.length; i++) {
    const at = (i + round) % contenders.length;
    const { path, feeds, options } = contenders[at] as Contender;
    const opened = await openOn(host, path, options);
    timings[at]?.loads.push(opened.loadMs);
    items[at] = { session: opened.session, feeds: await toWire(feeds) };
  }
  const { runs: warmups, roundMs } = await warmUp(host, items, plan.warmup);
  const slow =
    roundMs > SLOW_TURN_MS || timings.some(({ loads }) => (loads[0] ?? 0) > SLOW_LOAD_MS);
  const rounds = slow && round === 0 ? 1 : planned;
  const { budgetMs = BUDGET_MS } = plan;
  const affordable = Math.round(budgetMs / Math.max(roundMs, 0.001));
  const atLeast = Math.min(MIN_RUNS, Math.ceil((MIN_RUNS * budgetMs) / BUDGET_MS));
  const total = plan.runs ?? Math.min(MAX_RUNS, Math.max(atLeast, affordable));
  // The rounds share the runs; the first ones take what does not divide.
  const share = Math.floor(total / rounds) + (round < total % rounds ? 1 : 0);
  const slice = Math.max(1, Math.floor(SLICE_MS / Math.max(roundMs, 0.001)));
  for (const { rounds: starts, samples } of timings) starts.push(samples.length);
  for (let done = 0; done < share; done += slice) {
    const durations = await host.call('time', { items, rounds: Math.min(slice, share - done) });
    durations.forEach((list, i) => void timings[i]?.samples.push(...list));
    plan.onProgress?.((round + Math.min(1, (done + slice) / share)) / rounds);
  }
  for (const timing of timings) timing.warmupRuns += warmups;
  for (const { session } of items) await host.call('close', { session });
  return rounds;
}

/** Runs in turn until stable; returns how often, and what one turn of all models takes. */
async function warmUp(
  host: Host,
  items: readonly Timed[],
  warmup: number | undefined,
): Promise<{ readonly runs: number; readonly roundMs: number }> {
  if (warmup !== undefined) {
    const durations = await host.call('time', { items, rounds: Math.max(1, warmup) });
    return { runs: Math.max(1, warmup), roundMs: sum(durations.map(median)) };
  }
  const started = performance.now();
  let previous: number[] | undefined;
  // The first run of all tells how long a window may be.
  let size = 1;
  let runs = 0;
  for (let window = 0; ; window++) {
    const durations = await host.call('time', { items, rounds: size });
    runs += size;
    const medians = durations.map(median);
    const roundMs = sum(medians);
    const settled = medians.every((value, i) => {
      const before = previous?.[i];
      return before !== undefined && Math.abs(value / before - 1) < STABLE;
    });
    const tooLong = performance.now() - started > MAX_WARMUP_MS || window >= MAX_WINDOWS;
    if (settled || tooLong) return { runs, roundMs };
    previous = medians;
    // Short runs need wide windows, or one hiccup decides.
    const wanted = Math.ceil(SLICE_MS / 4 / Math.max(roundMs, 0.001));
    size = roundMs > SLOW_TURN_MS ? 1 : Math.min(200, Math.max(WINDOW_RUNS, wanted));
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
