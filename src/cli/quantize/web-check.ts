// One file of the transformers.js set on trial: loaded and run beside the float model in onnxruntime-
// node and in the web runtimes, on the same inputs; how similar its outputs are, how long it takes.

import { XformError } from '../../errors/error.ts';
import { isScores, largestPerRow } from '../../metrics/top1.ts';
import { timeInTurn } from '../../runtime/measure.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { openSession } from '../../runtime/session.ts';
import { median } from '../../runtime/statistics.ts';
import type { WebRunner } from '../../runtime/web/index.ts';
import { Comparer } from '../../tensor/compare.ts';
import { isFloat } from '../../tensor/dtype.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Tensor } from '../../tensor/tensor.ts';

export interface Similarity {
  /** Of the output with the lowest one; 0 where something is NaN or infinite that was not. */
  readonly cosine: number;
  readonly maxAbsError: number;
  /** Share of rows, or tokens, with the same largest score; undefined where there are no scores. */
  readonly top1?: number | undefined;
}

/** What became of a file in one runtime. */
export interface Trial {
  readonly runtime: string;
  readonly status: 'ok' | 'failed' | 'not tried';
  /** Where it is not ok. */
  readonly reason?: string | undefined;
  readonly similarity?: Similarity | undefined;
  readonly loadMs?: number | undefined;
  /** Medians of runs in turn with the float model. */
  readonly latencyMs?: number | undefined;
  readonly floatLatencyMs?: number | undefined;
}

/** The float model: its file, its size, and its outputs in onnxruntime-node. */
export interface FloatModel {
  readonly path: string;
  readonly bytes: number;
  readonly feeds: Feeds;
  readonly outputs: Feeds;
  /** Milliseconds for the counted runs of one file and the float model in one runtime. */
  readonly budgetMs: number;
}

const WEB_RUNS = 5;
/** WebAssembly has 4 GB for the file, the weights made of it and what is computed. */
const WEB_BYTES = 1.5e9;
/** With less time than this nobody wants to wait until runs are stable. */
const HURRIED_MS = 100;
/** Two models at once only when they take little of it. */
const PAIR_BYTES = 0.8e9;

/** Software in the place of a GPU compiles for seconds and computes a hundred times as slowly. */
const SOFTWARE_BYTES = 50e6;
const SOFTWARE_MS = 60_000;

export const NODE_RUNTIME = 'onnxruntime-node';

/** Loads and runs a file of the set in onnxruntime-node. */
export async function tryInNode(
  path: string,
  float: FloatModel,
  session: SessionOptions,
): Promise<Trial> {
  const runtime = NODE_RUNTIME;
  try {
    const opened = await openSession(path, session);
    const { loadMs } = opened;
    const outputs = await opened.run(float.feeds);
    await opened.dispose();
    const shared = { feeds: float.feeds, options: { ...session, stopSpinning: true } };
    const files = path === float.path ? [path] : [float.path, path];
    const contenders = files.map((one) => ({ path: one, ...shared }));
    const { budgetMs } = float;
    const warmup = budgetMs < HURRIED_MS ? 1 : undefined;
    const timings = await timeInTurn(contenders, { budgetMs, warmup, rounds: 1 });
    const [latencyMs, floatLatencyMs] = timings.map(({ samples }) => median(samples)).reverse();
    const similarity = similarityOf(float.outputs, outputs);
    return { runtime, status: 'ok', similarity, loadMs, latencyMs, floatLatencyMs };
  } catch (error) {
    return { runtime, status: 'failed', reason: messageOf(error) };
  }
}

/** The same in a web runtime. `isHalf`: it needs arithmetic on float16. */
export async function tryInWeb(
  runner: WebRunner,
  path: string,
  bytes: number,
  float: FloatModel,
  isHalf: boolean,
): Promise<Trial> {
  const runtime = runner.name;
  const skip = whyNotTried(runner, bytes, float, isHalf);
  if (skip) return { runtime, status: 'not tried', reason: skip };
  if (runner.software) return tryInSoftware(runner, path, float);
  const isPair = bytes + float.bytes <= PAIR_BYTES && path !== float.path;
  const items = (isPair ? [float.path, path] : [path]).map((one) => {
    return { path: one, feeds: float.feeds };
  });
  const results = await runner.runInTurn(items, { runs: WEB_RUNS, budgetMs: float.budgetMs });
  const result = results.at(-1);
  if (!result || result instanceof Error) {
    return { runtime, status: 'failed', reason: messageOf(result) };
  }
  const reference = isPair ? results[0] : undefined;
  return {
    runtime,
    status: 'ok',
    similarity: similarityOf(float.outputs, result.outputs),
    loadMs: result.loadMs,
    latencyMs: result.medianMs,
    floatLatencyMs: reference instanceof Error ? undefined : reference?.medianMs,
  };
}

/** Once, for the outputs alone: the time says nothing about a device. */
async function tryInSoftware(runner: WebRunner, path: string, float: FloatModel): Promise<Trial> {
  const items = [{ path, feeds: float.feeds }];
  const [result] = await runner.runInTurn(items, { runs: 0, timeoutMs: SOFTWARE_MS });
  const runtime = runner.name;
  if (!result || result instanceof Error) {
    const isSlow = result instanceof XformError && result.code === 'web-runtime-died';
    if (!isSlow) return { runtime, status: 'failed', reason: messageOf(result) };
    const reason = `it takes more than ${SOFTWARE_MS / 1000} s in software (${runner.software})`;
    return { runtime, status: 'not tried', reason };
  }
  return { runtime, status: 'ok', similarity: similarityOf(float.outputs, result.outputs) };
}

function whyNotTried(
  runner: WebRunner,
  bytes: number,
  float: FloatModel,
  isHalf: boolean,
): string | undefined {
  if (bytes > WEB_BYTES) {
    return `${(bytes / 1e9).toFixed(1)} GB are too much for the 4 GB of WebAssembly`;
  }
  if (isHalf && runner.provider === 'webgpu' && !runner.hasHalf) {
    return 'this WebGPU adapter has no float16 (shader-f16)';
  }
  if (runner.software && float.bytes > SOFTWARE_BYTES) {
    return `it is too large to be computed in software (${runner.software})`;
  }
  return undefined;
}

/** Outputs that are numbers, by name. */
export function similarityOf(expected: Feeds, actual: Feeds): Similarity {
  const found: Similarity[] = [];
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (!other || tensor.dtype === 'string') continue;
    const comparer = new Comparer({ rtol: 0, atol: 0 });
    comparer.add(tensor, other);
    const { cosine, maxAbs, nonFinite, problem } = comparer.result();
    const isBroken = nonFinite > 0 || problem !== undefined;
    const top1 = isBroken ? undefined : sameLargest(name, tensor, other);
    found.push({ cosine: isBroken ? 0 : cosine, maxAbsError: isBroken ? Infinity : maxAbs, top1 });
  }
  const shares = found.flatMap(({ top1 }) => (top1 === undefined ? [] : [top1]));
  return {
    cosine: Math.min(1, ...found.map(({ cosine }) => cosine)),
    maxAbsError: Math.max(0, ...found.map(({ maxAbsError }) => maxAbsError)),
    ...(shares.length > 0 ? { top1: Math.min(...shares) } : {}),
  };
}

/** Of scores [rows, classes], and of logits [..., vocabulary]. */
function sameLargest(name: string, expected: Tensor, actual: Tensor): number | undefined {
  const classes = expected.shape.at(-1) ?? 0;
  const isLogits =
    isScores(expected) ||
    (/logits/i.test(name) && expected.shape.length > 1 && classes > 1 && isFloat(expected.dtype));
  if (!isLogits || expected.size === 0) return undefined;
  const rows = [expected.size / classes, classes];
  const [best, found] = [expected, actual].map((one) => largestPerRow(one.reshape(rows)));
  return (best ?? []).filter((index, row) => index === found?.[row]).length / (best?.length || 1);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'it gave no answer';
}
