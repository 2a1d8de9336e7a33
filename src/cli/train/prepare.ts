// From a model as it is read to the graphs of a training run: the step with its gradients, and the
// forward pass for validation, both over the same weights.

import { inputNotStatic, noFloatOutput, outputSizeOpen } from '../../errors/train.ts';
import {
  allGraphs,
  isStatic,
  isUnknown,
  type Model,
  printShape,
  symbolsOf,
  type Value,
} from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import { passes } from '../../passes/index.ts';
import { dropIdentityBesideWeights } from '../../passes/optimize/drop-identity.ts';
import { runPasses } from '../../passes/run.ts';
import type { Pattern } from '../../passes/select.ts';
import { upgradeOpset } from '../../passes/upgrade/index.ts';
import { isFloat } from '../../tensor/dtype.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { type Parameters, parametersOf } from '../../train/parameters.ts';
import { setBatch } from '../../train/rebatch.ts';
import { widenHalves } from '../../train/wide.ts';
import { setKnownSizes } from '../sizes.ts';

/** What gradients are written for. */
const OPSET = 21;
/** What makes a graph plain, and leaves every weight as it is. */
const PLAIN = new Set([
  ...['sort-nodes', 'drop-weight-inputs', 'extract-constants', 'inline-functions', 'inline-if'],
  ...['drop-identity', 'drop-dead'],
]);

/** What known sizes decide. */
const SETTLED = new Set(['inline-if', 'unroll-loop', 'drop-dead']);

/** A plain copy for batches of `batch` samples, typed; its weights have the names of the original. */
export async function plainModel(original: Model, batch: number, sample: Feeds): Promise<Model> {
  const model = await withPasses(original.clone(), PLAIN);
  const { model: lifted } = model.opset < OPSET ? upgradeOpset(model, OPSET) : { model };
  takeSizes(lifted, sample);
  widenHalves(lifted);
  inferTypes(lifted);
  setBatch(lifted, batch);
  for (const value of lifted.graph.inputs) {
    if (value.shape && isStatic(value.shape)) continue;
    throw inputNotStatic(value.name, printShape(value.shape));
  }
  const settled = await withPasses(lifted, SETTLED);
  const [problem] = inferTypes(settled);
  floatsFirst(settled);
  const [output] = settled.graph.outputs;
  if (output && !(output.shape && isStatic(output.shape))) {
    throw outputSizeOpen(output.name, printShape(output.shape), problem?.message);
  }
  return settled;
}

/** What is learned is the first output: labels that a classifier gives beside its scores are not. */
function floatsFirst({ graph }: Model): void {
  const outputs = [...graph.outputs];
  const [floats, others] = [true, false].map((wanted) =>
    outputs.filter(({ dtype }) => (dtype !== undefined && isFloat(dtype)) === wanted),
  ) as [Value[], Value[]];
  if (floats.length === 0 && others.every(({ dtype }) => dtype !== undefined)) {
    throw noFloatOutput(others.map(({ name, dtype }) => `"${name}" (${dtype})`));
  }
  graph.outputs = [...floats, ...others];
}

async function withPasses(model: Model, names: ReadonlySet<string>): Promise<Model> {
  const chosen = passes
    .filter(({ name }) => names.has(name))
    .map((pass) => (pass.name === 'drop-identity' ? dropIdentityBesideWeights : pass));
  const run = () => Promise.reject(new Error('no pass for training needs a run'));
  return (await runPasses(model, chosen, { run, level: 'basic' })).model;
}

/** Sizes that the model leaves open are those of a sample of the data. */
function takeSizes(model: Model, sample: Feeds): void {
  const sizes = new Map<string, number>();
  for (const { name, shape } of model.graph.inputs) {
    const found = sample.get(name)?.shape ?? [];
    shape?.forEach((dim, axis) => {
      const size = found[axis];
      if (axis === 0 || typeof dim === 'number' || size === undefined) return;
      const [symbol] = symbolsOf(dim);
      sizes.set(symbol && !isUnknown(dim) ? symbol : `${name}.${axis}`, size);
    });
  }
  setKnownSizes(model, sizes);
}

/** Weights that are trained: all but those that a pattern freezes, and those that have no place to go. */
export function chooseParameters(
  model: Model,
  freeze: readonly Pattern[],
  added: ReadonlySet<string> = new Set(),
): Parameters {
  return parametersOf(model, (value) => {
    const found = freeze.find((pattern) => isNamed(value, pattern));
    if (found) return `--freeze ${found.text}`;
    return added.has(value.name) ? 'made by the conversion to a newer opset' : undefined;
  });
}

/** Initializers of the plain model that the original does not have. */
export function addedTo(original: Model, plain: Model): Set<string> {
  const own = constantNames(original);
  return new Set([...plain.graph.initializers].map(({ name }) => name).filter((n) => !own.has(n)));
}

/** Names of weights, whether they are initializers or Constant nodes. */
function constantNames(model: Model): Set<string> {
  const names = new Set<string>();
  for (const graph of allGraphs(model)) {
    for (const { name } of graph.initializers) names.add(name);
    for (const node of graph.nodes) {
      if (node.op === 'Constant') names.add(node.outputs[0]?.name ?? '');
    }
  }
  return names;
}

export function isNamed(value: Value, pattern: Pattern): boolean {
  return pattern.matchesName(value.name) || value.uses.some(({ node }) => pattern.matches(node));
}
