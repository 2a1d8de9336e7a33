// What mends a pruned model without training: layers that lost inputs are refitted by least squares,
// running statistics of BatchNormalization are taken anew. Data is parted: some of it shows, on what was
// not used, which of the attempts comes closest to the original; where none does, nothing is changed.

import type { Model } from '../../graph/index.ts';
import type { Runner } from '../../passes/pass.ts';
import { type PairedObserver, refit } from '../../passes/prune/least-squares.ts';
import { upgradeOpset } from '../../passes/upgrade/index.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { type LoadedModel, loadModel } from '../../runtime/runner.ts';
import { isFloat } from '../../tensor/dtype.ts';
import { elementsOf } from '../../tensor/elements.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { trainBatchNorms } from '../../train/batchnorm.ts';
import type { PruneData } from './data.ts';
import type { Pruned, Pruner } from './plan.ts';

export interface RepairContext {
  readonly data: PruneData;
  readonly session: SessionOptions;
  readonly run: Runner;
  readonly reporter: Reporter;
}

/** Share of the batches that judges. */
const HELD_OUT = 0.25;
/** Opset of BatchNormalization in training mode. */
const OPSET = 15;

/** The pruner, and repair of what it makes. */
export function repairing(pruner: Pruner, context: RepairContext): Pruner {
  return async (model, ask) => {
    const pruned = await pruner(model, ask);
    return repair(model, pruned, context);
  };
}

async function repair(original: Model, pruned: Pruned, context: RepairContext): Promise<Pruned> {
  const batches: Feeds[] = [];
  for await (const { feeds } of context.data.batches()) batches.push(feeds);
  const held = Math.max(1, Math.floor(HELD_OUT * batches.length));
  const [fitted, judged] =
    batches.length > 1 ? [batches.slice(0, -held), batches.slice(-held)] : [batches, batches];
  const step = context.reporter.step('repairing');
  const attempts: { readonly name: string; readonly model: Model }[] = [];
  const statistics = await withStatistics(pruned.model, fitted, context);
  if (statistics) attempts.push({ name: 'running statistics', model: statistics });
  const fit = await refitted(original, pruned, fitted, context, () => step.advance());
  if (fit) {
    attempts.push({ name: 'least squares', model: fit });
    const both = await withStatistics(fit, fitted, context);
    if (both) attempts.push({ name: 'least squares, running statistics', model: both });
  }
  if (attempts.length === 0) return { ...pruned, repair: ['nothing: there is nothing to mend'] };
  const reference = await outputsOf(original, judged, context);
  const before = await errorOf(pruned.model, judged, reference, context);
  let best = { name: '', model: pruned.model, error: before };
  for (const { name, model } of attempts) {
    const error = await errorOf(model, judged, reference, context);
    context.reporter.detail(`${name}: error of the outputs ${percent(error)}`);
    if (error < best.error) best = { name, model, error };
  }
  step.done();
  if (best.name === '')
    return { ...pruned, repair: ['nothing: no attempt came closer to the original'] };
  const gain = `error of the outputs ${percent(before)}, now ${percent(best.error)}`;
  return { ...pruned, model: best.model, repair: [`${best.name}: ${gain}`] };
}

async function refitted(
  original: Model,
  { model, choices }: Pruned,
  batches: readonly Feeds[],
  context: RepairContext,
  progress: () => void,
): Promise<Model | undefined> {
  if (!choices || choices.length === 0) return undefined;
  const copy = model.clone();
  const done = await refit(
    original,
    copy,
    choices,
    observerOf(batches, context),
    context.run,
    progress,
  );
  for (const { layer, reason } of done) {
    if (reason) context.reporter.detail(`${layer} was not refitted: ${reason}`);
  }
  return done.some(({ reason }) => !reason) ? copy : undefined;
}

function observerOf(batches: readonly Feeds[], { session }: RepairContext): PairedObserver {
  return {
    async both(original, pruned, visit) {
      const inputs = new Set(pruned.model.graph.inputs.map(({ name }) => name));
      const made = pruned.names.filter((name) => !inputs.has(name));
      const a = await loadModel(original.model, session, original.names);
      const b = made.length > 0 ? await loadModel(pruned.model, session, made) : undefined;
      try {
        for (const feeds of batches) {
          const found = b ? await b.run(feeds) : new Map<string, Tensor>();
          await visit(await a.run(feeds), new Map([...feeds, ...found]));
        }
      } finally {
        await a.dispose();
        await b?.dispose();
      }
    },
  };
}

const percent = (error: number) => `${(100 * error).toFixed(1)}%`;

/** A copy whose BatchNormalizations have the statistics of these batches, all layers at once. */
async function withStatistics(
  model: Model,
  batches: readonly Feeds[],
  { session }: RepairContext,
): Promise<Model | undefined> {
  if (![...model.graph.nodes].some(({ op }) => op === 'BatchNormalization')) return undefined;
  const copy = model.clone();
  const lifted = copy.opset < OPSET ? upgradeOpset(model, OPSET).model : model.clone();
  const buffers = trainBatchNorms(lifted, () => false);
  if (buffers.length === 0) return undefined;
  for (const node of lifted.graph.nodes) {
    if (node.int('training_mode', 0)) node.setAttr('momentum', { type: 'float', value: 0 });
  }
  const sums = new Map<string, Float64Array>();
  const loaded = await loadModel(
    lifted,
    session,
    buffers.map(({ next }) => next.name),
  );
  try {
    for (const feeds of batches) {
      const found = await loaded.run(feeds);
      for (const { value, next } of buffers) add(sums, value.name, found.get(next.name));
    }
  } finally {
    await loaded.dispose();
  }
  for (const value of copy.graph.initializers) {
    const sum = sums.get(value.name);
    if (!sum || !value.data) continue;
    const mean = Float32Array.from(sum, (one) => one / batches.length);
    copy.graph.setData(value, Tensor.of('float32', value.data.shape, mean));
  }
  return copy;
}

function add(sums: Map<string, Float64Array>, name: string, found: Tensor | undefined): void {
  if (!found) return;
  const values = found.values() as Float32Array;
  const sum = sums.get(name) ?? new Float64Array(values.length);
  sums.set(name, sum);
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (values[i] as number);
}

async function outputsOf(
  model: Model,
  batches: readonly Feeds[],
  { session }: RepairContext,
): Promise<Feeds[]> {
  const loaded: LoadedModel = await loadModel(model, session);
  try {
    const all: Feeds[] = [];
    for (const feeds of batches) all.push(await loaded.run(feeds));
    return all;
  } finally {
    await loaded.dispose();
  }
}

/** ‖outputs - reference‖ / ‖reference‖ over all float outputs and batches. */
async function errorOf(
  model: Model,
  batches: readonly Feeds[],
  reference: readonly Feeds[],
  context: RepairContext,
): Promise<number> {
  const outputs = await outputsOf(model, batches, context);
  let [difference, size] = [0, 0];
  reference.forEach((wanted, i) => {
    for (const [name, tensor] of wanted) {
      const other = outputs[i]?.get(name);
      if (!isFloat(tensor.dtype) || other?.size !== tensor.size) continue;
      const [x, y] = [tensor, other].map((one) => elementsOf(one) as ArrayLike<number>);
      for (let k = 0; k < (x?.length ?? 0); k++) {
        difference += ((x?.[k] as number) - (y?.[k] as number)) ** 2;
        size += (x?.[k] as number) ** 2;
      }
    }
  });
  const error = Math.sqrt(difference / (size || 1));
  return Number.isFinite(error) ? error : Number.POSITIVE_INFINITY;
}
