// The graph that quantisation and pruning start from: BatchNormalization folded, constants folded,
// composed operators recognised; the same function as the original.

import type { DataOptions } from '../data/options.ts';
import type { Model } from '../graph/index.ts';
import { passes } from '../passes/index.ts';
import type { Runner } from '../passes/pass.ts';
import { runPasses } from '../passes/run.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Judge } from './judge.ts';
import { prepareCheck } from './optimize-check.ts';

interface PrepareOptions extends DataOptions {
  readonly data?: string | undefined;
  readonly batch?: number | undefined;
}

/** Optimised models are nearer to the original than this on the whole of their outputs. */
const FAITHFUL = 1 - 1e-6;

/**
 * The model, optimised with the standard passes. Checked once, by the judge if there is one, and pass
 * by pass where that fails.
 */
export async function prepareFloat(
  original: Model,
  run: Runner,
  options: PrepareOptions,
  reporter: Reporter,
  judge?: Judge,
): Promise<Model> {
  const chosen = passes.filter((pass) => pass.level === 'basic' && !pass.onDemand);
  const step = reporter.step('preparing');
  const settings = { run, level: 'basic' } as const;
  let { model, changed, steps } = await runPasses(original, chosen, settings);
  if (changed && !(judge && (await isFaithful(model, judge)))) {
    const check = await prepareCheck(original, run, options, reporter);
    ({ model, changed, steps } = await runPasses(original, chosen, { ...settings, check }));
    for (const { pass, undone } of steps.filter((one) => one.undone)) {
      reporter.warn({ code: 'pass-undone', message: `${pass} was undone: ${undone}` });
    }
  }
  step.done();
  return changed ? model : original.clone();
}

async function isFaithful(model: Model, judge: Judge): Promise<boolean> {
  try {
    return (await judge.judge(model)).fidelity >= FAITHFUL;
  } catch {
    return false;
  }
}
