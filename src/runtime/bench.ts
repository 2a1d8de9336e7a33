// Everything `bench` measures of its models: latency side by side over batch sizes and threads,
// load time, first run and peak memory in processes of their own, the time per operator.

import { join } from 'node:path';
import { runtimeDied } from '../errors/runtime.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { runInChild, type UsageAnswer } from './child-tasks.ts';
import { defaultThreads } from './cores.ts';
import { Host } from './host.ts';
import { type Timing, type TimingPlan, timeInTurn } from './measure.ts';
import type { Provider, SessionOptions } from './options.ts';
import { type Profile, readTrace } from './profile.ts';
import { toWire } from './protocol.ts';
import { scratchFolder } from './scratch.ts';
import { explain, openOn } from './session.ts';
import {
  compareRuns,
  type Distribution,
  describe,
  median,
  type Ratio,
  type Verdict,
} from './statistics.ts';

export interface BenchModel {
  /** What the user calls it. */
  readonly name: string;
  readonly path: string;
  /** Feeds of a batch size, and how many samples they hold. */
  readonly feeds: (batch: number) => Promise<{ readonly feeds: Feeds; readonly samples: number }>;
  /** Sizes for symbolic dimensions that no batch changes. */
  readonly freeDims: ReadonlyMap<string, number>;
  /** Multiply-adds of one run at a batch size, where they are known. */
  readonly macs: (batch: number) => number | undefined;
}

export interface BenchPlan extends TimingPlan {
  readonly provider: Provider;
  readonly device: number;
  readonly batches: readonly number[];
  /** Thread counts; empty: the default. */
  readonly threads: readonly number[];
  readonly profile: boolean;
  readonly seed: number;
}

/** One model at one batch size and thread count. */
export interface Point {
  readonly batch: number;
  readonly threads: number;
  readonly latency: Distribution;
  readonly throughput: number;
  /** Floating-point operations per second: two per multiply-add. */
  readonly flops: number | undefined;
  readonly warmupRuns: number;
  /** Against the first model; absent for itself. */
  readonly comparison?: Comparison;
}

export type Comparison = Ratio & { readonly verdict: Verdict };

export interface BenchResult {
  readonly name: string;
  /** First the point that stands for the model, then the others of the sweep. */
  readonly points: readonly Point[];
  readonly loadMs: number;
  readonly firstRunMs: number;
  readonly usage: UsageAnswer;
  readonly profile: Profile | undefined;
}

/** Processes per model for load time and memory, unless one takes long. */
const PROCESSES = 3;
const SLOW_PROCESS_MS = 1000;
const USAGE_RUNS = 3;
const PROFILE_WARMUP = 2;
const PROFILE_RUNS = 8;

/** Measures all models; the first is what the others are compared with. */
export async function bench(
  models: readonly BenchModel[],
  plan: BenchPlan,
): Promise<BenchResult[]> {
  const threadCounts = plan.threads.length > 0 ? plan.threads : [defaultThreads()];
  const settings = plan.batches.flatMap((batch) =>
    threadCounts.map((threads) => ({ batch, threads })),
  );
  const points: Point[][] = models.map(() => []);
  for (const [i, setting] of settings.entries()) {
    const onProgress = (fraction: number) => plan.onProgress?.((i + fraction) / settings.length);
    const measured = await measurePoint(models, { ...plan, onProgress }, setting);
    measured.forEach((point, at) => void points[at]?.push(point));
  }
  const [first] = settings;
  const results: BenchResult[] = [];
  for (const [i, model] of models.entries()) {
    const { feeds } = await model.feeds(first?.batch ?? 1);
    const options = sessionOptions(model, plan, first?.threads);
    const usages = await measureUsage(model, feeds, options);
    const [usage] = usages;
    if (!usage) continue;
    results.push({
      name: model.name,
      points: points[i] ?? [],
      loadMs: median(usages.map((u) => u.loadMs)),
      firstRunMs: median(usages.map((u) => u.firstRunMs)),
      usage: { ...usage, peakBytes: median(usages.map((u) => u.peakBytes)) },
      profile: plan.profile ? await profileModel(model.path, feeds, options) : undefined,
    });
  }
  return results;
}

async function measurePoint(
  models: readonly BenchModel[],
  plan: BenchPlan,
  { batch, threads }: { readonly batch: number; readonly threads: number },
): Promise<Point[]> {
  const fed = await Promise.all(models.map((model) => model.feeds(batch)));
  const contenders = models.map((model, i) => ({
    path: model.path,
    feeds: fed[i]?.feeds ?? new Map(),
    options: {
      ...sessionOptions(model, plan, threads),
      stopSpinning: models.length > 1,
    },
  }));
  const timings = await timeInTurn(contenders, plan);
  const [reference] = timings;
  return models.map((model, i) => {
    const timing = timings[i];
    const { samples = [], warmupRuns = 0 } = timing ?? {};
    const latency = describe(samples, plan.seed);
    const macs = model.macs(batch);
    const comparison =
      i > 0 && reference && timing ? compareTimings(reference, timing, plan.seed) : undefined;
    return {
      batch,
      threads,
      latency,
      throughput: ((fed[i]?.samples ?? batch) * 1000) / latency.p50,
      flops: macs === undefined ? undefined : (2 * macs * 1000) / latency.p50,
      warmupRuns,
      ...(comparison ? { comparison } : {}),
    };
  });
}

/**
 * A difference counts when chance does not explain it, when it is more than clocks and caches do, and
 * when every round of fresh sessions saw it.
 */
export function compareTimings(reference: Timing, timing: Timing, seed: number): Comparison {
  const ratio = compareRuns(reference.samples, timing.samples, seed);
  const rounds = timing.rounds.map((start, i) => {
    const end = timing.rounds[i + 1];
    return median(timing.samples.slice(start, end)) / median(reference.samples.slice(start, end));
  });
  const sides = rounds.filter((value) => Number.isFinite(value));
  const faster = ratio.high < 1 - RESOLUTION && sides.every((value) => value < 1);
  const slower = ratio.low > 1 + RESOLUTION && sides.every((value) => value > 1);
  return { ...ratio, verdict: faster ? 'faster' : slower ? 'slower' : 'no difference seen' };
}

/** Sessions of one and the same model were seen to differ by this much. */
const RESOLUTION = 0.01;

function sessionOptions(
  model: BenchModel,
  { provider, device }: BenchPlan,
  threads: number | undefined,
): SessionOptions {
  const { freeDims } = model;
  return { provider, device, freeDims, ...(threads === undefined ? {} : { threads }) };
}

async function measureUsage(
  model: BenchModel,
  feeds: Feeds,
  options: SessionOptions,
): Promise<UsageAnswer[]> {
  const usages: UsageAnswer[] = [];
  const wire = await toWire(feeds);
  for (let i = 0; i < PROCESSES; i++) {
    const task = {
      task: 'usage',
      path: model.path,
      options,
      feeds: wire,
      runs: USAGE_RUNS,
    } as const;
    const { usage, failure } = await runInChild(task);
    if (!usage) throw runtimeDied(failure ?? 'the measuring process gave no answer');
    usages.push(usage);
    if (usage.loadMs + usage.firstRunMs > SLOW_PROCESS_MS) break;
  }
  return usages;
}

/** Time per operator and node, from onnxruntime's own trace. */
export async function profileModel(
  path: string,
  feeds: Feeds,
  options: SessionOptions,
): Promise<Profile> {
  const folder = scratchFolder();
  const host = new Host();
  try {
    const profilePrefix = join(folder.path, 'trace');
    const { session } = await openOn(host, path, { ...options, profilePrefix });
    const item = { session, feeds: await toWire(feeds) };
    await host.call('time', { items: [item], rounds: PROFILE_WARMUP + PROFILE_RUNS });
    await host.call('endProfiling', { session });
    return readTrace(profilePrefix, PROFILE_WARMUP);
  } catch (error) {
    throw explain(error, 'run', path);
  } finally {
    await host.terminate();
    folder.remove();
  }
}
