// What passes are held to: the outputs of the original on a few samples, where it can be run.

import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import type { DataOptions } from '../data/options.ts';
import type { Model } from '../graph/index.ts';
import { type Check, makeCheck } from '../passes/check.ts';
import type { Runner } from '../passes/pass.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { checkSamples } from './check-samples.ts';
import { tooBigToRun } from './runnable.ts';

const SAMPLES = 2;

interface CheckOptions extends DataOptions {
  /** What `--data` names; random without it. */
  readonly data?: string | undefined;
  readonly batch?: number | undefined;
}

/** Undefined, with the reason as a warning, where the original cannot be run. */
export async function prepareCheck(
  model: Model,
  run: Runner,
  options: CheckOptions,
  reporter: Reporter,
): Promise<Check | undefined> {
  const notChecked = (reason: string) =>
    reporter.warn({ code: 'not-checked', message: `the passes were not checked: ${reason}` });
  const tooBig = tooBigToRun(model);
  if (tooBig) {
    notChecked(tooBig);
    return undefined;
  }
  try {
    const check = await makeCheck(model, run, await samplesOf(model, options));
    if (check.random.length > 0) {
      const names = check.random.join(', ');
      const message = `not compared, because the model makes them of random numbers: ${names}`;
      reporter.warn({ code: 'random-output', message });
    }
    return check;
  } catch (error) {
    // Data that the user named must be usable.
    if (options.data) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    notChecked(`the original does not run (${reason})`);
    return undefined;
  }
}

async function samplesOf(model: Model, options: CheckOptions): Promise<Feeds[]> {
  const { data, seed, batch } = options;
  if (data === undefined || data === 'random') return checkSamples(model, seed, batch);
  const limited = { ...options, limit: options.limit ?? SAMPLES };
  const dataset = await openDataset(data, inputSpecs(model), limited);
  const samples: Feeds[] = [];
  for await (const { feeds } of dataset.batches(batch ?? 1)) samples.push(feeds);
  return samples;
}
