// What results are tried on: a judge over data, and inputs to time them with.

import { join } from 'node:path';
import type { InputSpec } from '../data/dataset.ts';
import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import type { DataOptions } from '../data/options.ts';
import type { Model } from '../graph/index.ts';
import { writeModel } from '../onnx/index.ts';
import type { Reporter } from '../report/reporter.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { scratchFolder } from '../runtime/scratch.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { type Judge, makeJudge } from './judge.ts';
import type { SpeedInput } from './quantize/keep-faster.ts';
import { tooBigToRun } from './runnable.ts';

export interface Trials {
  readonly judge: Judge;
  readonly speed: SpeedInput;
}

export interface TrialOptions extends DataOptions {
  /** A path, or `random`. */
  readonly data: string;
  readonly batch?: number | undefined;
  /** Whether the model is no longer what its file says. */
  readonly isChanged: boolean;
}

const NOISE_SAMPLES = 8;
const SAMPLES = 256;
const BATCH = 8;

/** The reason, where the original cannot be run. Data that the user named must be usable. */
export async function prepareTrials(
  original: Model,
  options: TrialOptions,
  session: SessionOptions,
  reporter: Reporter,
): Promise<Trials | string> {
  const tooBig = tooBigToRun(original);
  if (tooBig) return tooBig;
  const isNoise = options.data === 'random';
  const step = reporter.step('running the original');
  try {
    const specs: InputSpec[] = inputSpecs(original);
    const dataset = await openDataset(options.data, specs, options);
    const limit = options.limit ?? (isNoise ? NOISE_SAMPLES : SAMPLES);
    const judge = await makeJudge(original, dataset, options.batch ?? BATCH, limit, session);
    const feeds = await firstFeeds(original, options);
    const reference = await fileOf(original, options.isChanged);
    return { judge, speed: { reference, feeds, session, seed: options.seed, reporter } };
  } catch (error) {
    if (!isNoise) throw error;
    return `the original does not run (${error instanceof Error ? error.message : String(error)})`;
  } finally {
    step.done();
  }
}

/** One sample: what a user of the model waits for. */
async function firstFeeds(model: Model, options: TrialOptions): Promise<Feeds> {
  const dataset = await openDataset(options.data, inputSpecs(model), options);
  for await (const { feeds } of dataset.batches(1)) return feeds;
  return new Map();
}

/** Sizes fixed by --set and models from standard input are in no file. */
async function fileOf(model: Model, isChanged: boolean): Promise<string> {
  if (model.path && model.path !== '-' && !isChanged) return model.path;
  const file = join(scratchFolder().path, 'original.onnx');
  await writeModel(model, file);
  return file;
}
