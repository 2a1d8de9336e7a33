// The graph that quantisation and pruning start from: BatchNormalization folded, constants folded,
// composed operators recognised; the same function as the original.

import type { DataOptions } from '../data/options.ts';
import type { Model } from '../graph/index.ts';
import { passes } from '../passes/index.ts';
import type { Runner } from '../passes/pass.ts';
import { runPasses } from '../passes/run.ts';
import type { Reporter } from '../report/reporter.ts';
import { prepareCheck } from './optimize-check.ts';

interface PrepareOptions extends DataOptions {
  readonly data?: string | undefined;
  readonly batch?: number | undefined;
}

/** The model, optimised with the standard passes; checked once, and pass by pass if that fails. */
export async function prepareFloat(
  original: Model,
  run: Runner,
  options: PrepareOptions,
  reporter: Reporter,
): Promise<Model> {
  const chosen = passes.filter((pass) => pass.level === 'basic' && !pass.onDemand);
  const step = reporter.step('preparing');
  const check = await prepareCheck(original, run, options, reporter);
  const settings = { run, level: 'basic' } as const;
  let { model, changed, steps } = await runPasses(original, chosen, settings);
  if (changed && check && (await check.compare(model)) !== undefined) {
    ({ model, changed, steps } = await runPasses(original, chosen, { ...settings, check }));
    for (const { pass, undone } of steps.filter((one) => one.undone)) {
      reporter.warn({ code: 'pass-undone', message: `${pass} was undone: ${undone}` });
    }
  }
  step.done();
  return changed ? model : original.clone();
}
