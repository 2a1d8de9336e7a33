// Scores of units, and of single weights, from what data does in the model: how large activations are,
// and what a loss says of weights (first-order Taylor, Fisher; see `train/scores`).

import type { Batch } from '../../data/dataset.ts';
import { XformError } from '../../errors/error.ts';
import { scoresCutOff, scoresNeedFloat } from '../../errors/prune.ts';
import type { Model, Value } from '../../graph/index.ts';
import type { Group, Member } from '../../passes/prune/group.ts';
import type { Criterion } from '../../passes/prune/importance.ts';
import { upgradeOpset } from '../../passes/upgrade/index.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { loadModel } from '../../runtime/runner.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { floatsOf } from '../../tensor/scale.ts';
import { Tensor } from '../../tensor/tensor.ts';
import {
  LABELS,
  type ScoredAxis,
  type ScoreGraph,
  writeMeans,
  writeScores,
} from '../../train/scores.ts';
import { plainModel } from '../train/prepare.ts';
import type { PruneData } from './data.ts';
import type { DataCriterion } from './flags.ts';

interface Context {
  readonly session: SessionOptions;
}

/** Operators that the sums are written for. */
const OPSET = 21;

/** A criterion for the groups of this model; one pass over the data for all of them. */
export async function dataCriterion(
  name: DataCriterion,
  model: Model,
  data: PruneData,
  context: Context,
): Promise<Criterion> {
  const known = new Map<string, Float64Array>();
  return async (groups) => {
    const missing = groups.filter((group) => !known.has(keyOf(group)));
    if (missing.length > 0) {
      const scores = await scoresOf(name, model, missing, data, context);
      missing.forEach((group, i) => {
        known.set(keyOf(group), scores[i] as Float64Array);
      });
    }
    return groups.map((group) => known.get(keyOf(group)) as Float64Array);
  };
}

function keyOf({ id, name, units }: Group): string {
  return `${id} ${name} ${units}`;
}

function scoresOf(
  name: DataCriterion,
  model: Model,
  groups: readonly Group[],
  data: PruneData,
  context: Context,
): Promise<Float64Array[]> {
  if (name === 'activation') return activationScores(model, groups, data, context);
  const power = name === 'taylor' ? Math.abs : (sum: number) => sum * sum;
  return gradientScores(name, model, groups, data, context, power);
}

/** The members whose sums tell of the units: weights that make them, else those that read them. */
function membersOf({ weights }: Group): Member[] {
  const isFloat = ({ value }: Member) => value.dtype?.startsWith('float') ?? false;
  const makers = weights.filter((member) => member.role === 'makes' && isFloat(member));
  return makers.length > 0
    ? makers
    : weights.filter((member) => member.role === 'sums' && isFloat(member));
}

async function gradientScores(
  name: string,
  model: Model,
  groups: readonly Group[],
  data: PruneData,
  { session }: Context,
  power: (sum: number) => number,
): Promise<Float64Array[]> {
  const members = groups.map(membersOf);
  const axes = members.flat().map(axisOf);
  if (axes.length === 0) throw scoresNeedFloat(name);
  const result = groups.map(({ units }) => new Float64Array(units));
  const visit = (outputs: Feeds, { sums }: ScoreGraph) => {
    let at = 0;
    groups.forEach((group, g) => {
      const own = (members[g] as Member[]).map((member) => ({ member, name: sums[at++] }));
      const total = new Float64Array(group.units);
      for (const { member, name: sum } of own)
        addUnits(total, member, sum ? outputs.get(sum) : undefined);
      const scores = result[g] as Float64Array;
      total.forEach((value, unit) => {
        scores[unit] = (scores[unit] as number) + power(value);
      });
    });
  };
  await overGradients(model, { axes }, data, session, visit);
  return result;
}

function axisOf({ value, axis }: Member): ScoredAxis {
  return { value: value.name, axis };
}

function addUnits(total: Float64Array, { positions }: Member, sums: Tensor | undefined): void {
  if (!sums) return;
  const numbers = floatsOf(sums);
  positions.forEach((list, unit) => {
    for (const i of list) total[unit] = (total[unit] as number) + (numbers[i] as number);
  });
}

interface Wanted {
  readonly axes?: readonly ScoredAxis[];
  readonly weights?: readonly string[];
}

/** Runs loss and gradients over the data, a batch at a time. */
async function overGradients(
  model: Model,
  wanted: Wanted,
  data: PruneData,
  session: SessionOptions,
  visit: (outputs: Feeds, graph: ScoreGraph) => void,
): Promise<void> {
  let loaded: Awaited<ReturnType<typeof loadModel>> | undefined;
  let graph: ScoreGraph | undefined;
  let withLabels = false;
  try {
    for await (const batch of data.batches()) {
      if (!loaded || !graph) {
        ({ graph, withLabels } = await scoreGraph(model, wanted, batch));
        loaded = await loadModel(graph.model, session);
      }
      const feeds = new Map(batch.feeds);
      const labels = withLabels ? labelsOf(batch, graph) : undefined;
      if (withLabels && !labels) continue;
      if (labels) feeds.set(LABELS, labels);
      visit(await loaded.run(feeds), graph);
    }
  } finally {
    await loaded?.dispose();
  }
}

async function scoreGraph(model: Model, wanted: Wanted, batch: Batch) {
  const [first] = batch.feeds.values();
  const size = first?.shape[0] ?? 1;
  const make = async (withLabels: boolean) => {
    const plain = await plainModel(model, size, batch.feeds);
    try {
      return writeScores(plain, { ...wanted, withLabels });
    } catch (error) {
      throw error instanceof XformError && error.code === 'no-gradient'
        ? scoresCutOff(error)
        : error;
    }
  };
  const graph = await make(false);
  if (!labelsOf(batch, graph)) return { graph, withLabels: false };
  return { graph: await make(true), withLabels: true };
}

/** The target that can be classes of the rows. */
function labelsOf(
  { targets }: Batch,
  { rows, classes }: Pick<ScoreGraph, 'rows' | 'classes'>,
): Tensor | undefined {
  for (const target of targets.values()) {
    if (target.size !== rows || target.dtype === 'string' || target.dtype === 'float16') continue;
    const labels = target.numbers();
    const isClass = (label: number) => Number.isInteger(label) && label >= 0 && label < classes;
    if (labels.every(isClass)) return Tensor.int64(labels);
  }
  return undefined;
}

/** Σ over batches of |∂L/∂w · w| or its square, by weight: for methods that remove single weights. */
export async function weightScores(
  name: 'taylor' | 'fisher',
  model: Model,
  weights: readonly Value[],
  data: PruneData,
  { session }: Context,
): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  const names = weights.map((value) => value.name);
  const held = new Map(weights.map((value) => [value.name, value.data]));
  const visit = (outputs: Feeds, graph: ScoreGraph) => {
    for (const [weight, output] of graph.gradients) {
      const [gradient, own] = [outputs.get(output), held.get(weight)];
      if (!gradient || !own) continue;
      const scores = found.get(weight) ?? new Float32Array(own.size);
      found.set(weight, scores);
      addProducts(scores, floatsOf(own), floatsOf(gradient), name);
    }
  };
  await overGradients(model, { weights: names }, data, session, visit);
  return found;
}

function addProducts(
  scores: Float32Array,
  weights: Float64Array,
  gradients: Float64Array,
  name: 'taylor' | 'fisher',
): void {
  for (let i = 0; i < scores.length; i++) {
    const product = (weights[i] as number) * (gradients[i] as number);
    const score = name === 'taylor' ? Math.abs(product) : product * product;
    scores[i] = (scores[i] as number) + score;
  }
}

/** The mean of |x| of what the layers read that take the units as inputs; else of what makes them. */
async function activationScores(
  model: Model,
  groups: readonly Group[],
  data: PruneData,
  { session }: Context,
): Promise<Float64Array[]> {
  const members = groups.map(activationsOf);
  const { model: lifted } =
    model.opset < OPSET ? upgradeOpset(model, OPSET) : { model: model.clone() };
  const means = writeMeans(lifted, members.flat().map(axisOf));
  const result = groups.map(({ units }) => new Float64Array(units));
  const loaded = await loadModel(lifted, session);
  try {
    for await (const { feeds } of data.batches()) {
      const outputs = await loaded.run(feeds);
      let at = 0;
      members.forEach((own, g) => {
        for (const member of own) {
          const name = means[at++];
          addUnits(result[g] as Float64Array, member, name ? outputs.get(name) : undefined);
        }
      });
    }
  } finally {
    await loaded.dispose();
  }
  return result;
}

function activationsOf({ values, layers, makers }: Group): Member[] {
  const inputs = new Set(layers.flatMap((node) => node.inputs));
  const read = values.filter(({ value }) => inputs.has(value));
  if (read.length > 0) return read;
  const made = new Set(makers.flatMap((node) => node.outputs));
  return values.filter(({ value }) => made.has(value));
}
