// From a model as it is read to the graphs of a training run: the step with its gradients, and the
// forward pass for validation, both over the same weights.

import { inputNotStatic } from '../errors/train.ts';
import { isStatic, type Model, printShape, type Value } from '../graph/index.ts';
import { inferTypes } from '../ops/index.ts';
import { passes } from '../passes/index.ts';
import { runPasses } from '../passes/run.ts';
import type { Pattern } from '../passes/select.ts';
import { upgradeOpset } from '../passes/upgrade/index.ts';
import { type Parameters, parametersOf } from '../train/parameters.ts';
import { setBatch } from '../train/rebatch.ts';

/** What gradients are written for. */
const OPSET = 21;
/** What makes a graph plain, and leaves every weight as it is. */
const PLAIN = new Set([
  ...['sort-nodes', 'drop-weight-inputs', 'extract-constants', 'inline-functions', 'inline-if'],
  ...['drop-identity', 'drop-dead'],
]);

/** A plain copy for batches of `batch` samples, typed; its weights have the names of the original. */
export async function plainModel(original: Model, batch: number): Promise<Model> {
  const chosen = passes.filter(({ name }) => PLAIN.has(name));
  const run = () => Promise.reject(new Error('no pass for training needs a run'));
  const { model } = await runPasses(original.clone(), chosen, { run, level: 'basic' });
  const { model: lifted } = model.opset < OPSET ? upgradeOpset(model, OPSET) : { model };
  inferTypes(lifted);
  setBatch(lifted, batch);
  for (const value of lifted.graph.inputs) {
    if (value.shape && isStatic(value.shape)) continue;
    throw inputNotStatic(value.name, printShape(value.shape));
  }
  return lifted;
}

/** Weights that are trained: all but those that a pattern freezes. */
export function chooseParameters(model: Model, freeze: readonly Pattern[]): Parameters {
  return parametersOf(model, (value) => {
    const found = freeze.find((pattern) => isNamed(value, pattern));
    return found && `--freeze ${found.text}`;
  });
}

function isNamed(value: Value, pattern: Pattern): boolean {
  return pattern.matchesName(value.name) || value.uses.some(({ node }) => pattern.matches(node));
}
