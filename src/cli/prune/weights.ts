// The methods that are not about groups, as pruners: single weights, edges of kernels, whole blocks.

import { makeCalibration } from '../../calibrate/calibrator.ts';
import { StagedData } from '../../calibrate/staged.ts';
import { needsData, nothingToPrune } from '../../errors/prune.ts';
import { badFlagValue, usageProblem } from '../../errors/usage.ts';
import type { Model, Node, Value } from '../../graph/index.ts';
import { passes } from '../../passes/index.ts';
import type { Runner } from '../../passes/pass.ts';
import type { Amount } from '../../passes/prune/channels.ts';
import type { Normalization } from '../../passes/prune/importance.ts';
import {
  type Block,
  blockHeld,
  blockInfluence,
  dropBlock,
  findBlocks,
} from '../../passes/prune/layer.ts';
import { splitKernels } from '../../passes/prune/low-rank.ts';
import { permuteForPattern } from '../../passes/prune/permute.ts';
import { type Observer, type Score, sparsify } from '../../passes/prune/sparse/index.ts';
import { cropKernels, type Kernel } from '../../passes/prune/spatial.ts';
import { runPasses } from '../../passes/run.ts';
import type { Pattern } from '../../passes/select.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { loadModel } from '../../runtime/runner.ts';
import { ScratchFile } from '../../runtime/scratch.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { MethodContext } from './method.ts';
import {
  type Ask,
  amountByThen,
  type PartOutcome,
  type Pruned,
  type Pruner,
  stepAmount,
} from './plan.ts';
import { weightScores } from './scores.ts';

export interface WeightSettings {
  readonly method:
    | 'magnitude'
    | 'nm'
    | 'gradient'
    | 'wanda'
    | 'sparsegpt'
    | 'spatial'
    | 'low-rank'
    | 'layer';
  readonly amounts: readonly Amount[];
  readonly scope: 'global' | 'layer';
  readonly normalization: Normalization | undefined;
  /** N:M of method nm, and what it goes by. */
  readonly pattern: string;
  readonly score: Score | undefined;
  /** Of method gradient: |w·g|, or (w·g)². */
  readonly importance: 'taylor' | 'fisher';
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
}

const AMOUNT = 0.5;

export function weightPruner(settings: WeightSettings, context: MethodContext): Pruner {
  const { method } = settings;
  return async (model, ask) => {
    if (ask.target) {
      throw usageProblem(
        `--method "${method}" has no --target`,
        'Give an --amount; targets are for methods that remove whole channels.',
      );
    }
    const amount = stepAmount(ask.amount ?? AMOUNT, ask);
    if (method === 'spatial') return spatial(model, amount, settings);
    if (method === 'low-rank') return lowRank(model, amount, settings);
    if (method === 'layer') return layers(model, amount, settings, context);
    return weights(model, ask, settings, context);
  };
}

async function weights(
  given: Model,
  ask: Ask,
  settings: WeightSettings,
  context: MethodContext,
): Promise<Pruned> {
  const { method, amounts, scope, skip, only } = settings;
  const model = given.clone();
  const amount = amountByThen(ask.amount ?? AMOUNT, ask);
  const groups = method === 'nm' ? parseGroups(settings.pattern) : undefined;
  for (const { group, before, after } of groups
    ? permuteForPattern(model, groups.n, groups.m)
    : []) {
    const [kept, now] = [before, after].map((share) => `${(100 * share).toFixed(1)}%`);
    context.reporter.detail(
      `${group}: in another order ${now} of the magnitude stays, not ${kept}`,
    );
  }
  const score = scoreOf(settings);
  const step = context.reporter.step('pruning');
  const observer =
    score === 'wanda' || score === 'sparsegpt' ? stagedData(context, method) : undefined;
  const result = await sparsify(
    model,
    {
      score,
      amount,
      amounts: amounts.map((one) => ({ ...one, amount: amountByThen(one.amount, ask) })),
      scope,
      normalization: settings.normalization === 'none' ? 'none' : 'lamp',
      groups,
      skip,
      only,
    },
    {
      load: (graph) => loadModel(graph, quiet(context)),
      observer,
      importances: (values) => importances(settings.importance, model, values, context),
      keep: keeper(),
      progress: () => step.advance(),
    },
  ).finally(() => observer?.dispose());
  step.done();
  const changed = result.outcomes.filter(({ zeros }) => zeros > 0);
  if (changed.length === 0 && amount > 0) {
    const none = ['it has no Conv, Gemm or MatMul with a weight of float32'];
    const reasons = result.left.length > 0 ? reasonsOf(result.left) : none;
    throw nothingToPrune(given.path ?? '', method, reasons);
  }
  const done = result.outcomes.map(({ node, elements, zeros }) => {
    return part(node, 'weights', elements, elements - zeros);
  });
  return { model, parts: [...done, ...leftOver(result.left, 'weights')], frozen: [], amount };
}

function scoreOf({ method, score }: WeightSettings): Score {
  if (method === 'nm') return score ?? 'magnitude';
  return method === 'gradient' || method === 'wanda' || method === 'sparsegpt'
    ? method
    : 'magnitude';
}

function parseGroups(text: string): { n: number; m: number } {
  const [n, m] = /^(\d+):(\d+)$/.exec(text)?.slice(1).map(Number) ?? [];
  if (n === undefined || m === undefined || n < 1 || n >= m) {
    throw badFlagValue('pattern', text, 'two numbers N:M with 0 < N < M, as in 2:4');
  }
  return { n, m };
}

/** Weights of more bytes than these wait on disk until the model is written. */
const KEPT_BYTES = 128e6;

function keeper(): (tensor: Tensor) => Tensor {
  let file: ScratchFile | undefined;
  let bytes = 0;
  return (tensor) => {
    bytes += tensor.byteLength;
    if (bytes <= KEPT_BYTES) return tensor;
    file ??= new ScratchFile();
    return file.keep(tensor, tensor.bytes());
  };
}

/** Many sessions take turns here: threads that wait for more work are in the way of the others. */
function quiet({ session }: MethodContext): SessionOptions {
  return { ...session, neverSpinning: true };
}

function stagedData(context: MethodContext, method: string): StagedData {
  return new StagedData(batchesOf(context, method), quiet(context));
}

function observerOf(context: MethodContext, method: string): Observer {
  return makeCalibration({
    data: context.data?.summary ?? '',
    batches: batchesOf(context, method),
    session: context.session,
    method: 'minmax',
    percentile: 99.99,
    bits: 8,
  });
}

function batchesOf({ data }: MethodContext, method: string): () => AsyncIterable<Feeds> {
  if (!data) throw needsData(`--method ${method}`);
  return async function* () {
    for await (const { feeds } of data.batches()) yield feeds;
  };
}

async function importances(
  name: 'taylor' | 'fisher',
  model: Model,
  values: readonly Value[],
  context: MethodContext,
): Promise<Map<Value, ArrayLike<number>>> {
  const { data } = context;
  if (!data) throw needsData('--method gradient');
  const scores = await weightScores(name, model, values, data, context);
  return new Map(
    values.flatMap((value) => {
      const own = scores.get(value.name);
      return own ? [[value, own] as const] : [];
    }),
  );
}

function spatial(given: Model, amount: number, { skip, only }: WeightSettings): Pruned {
  const model = given.clone();
  const { kernels, left } = cropKernels(model, { amount, skip, only });
  const shape = ({ before, kept }: Kernel) => [
    before.reduce((a, b) => a * b, 1),
    kept.reduce((a, [from, to]) => a * (to - from), 1),
  ];
  const parts = kernels.map((kernel) => {
    const [before = 0, after = 0] = shape(kernel);
    const size = kernel.kept.map(([from, to]) => to - from).join('x');
    return part(kernel.node, `positions, ${size} left`, before, after, 'no edge of it had to go');
  });
  if (parts.every(({ before, after }) => before === after)) {
    throw nothingToPrune(given.path ?? '', 'spatial', reasonsOf(left));
  }
  return { model, parts: [...parts, ...leftOver(left, 'positions')], frozen: [], amount };
}

function lowRank(given: Model, amount: number, { skip, only }: WeightSettings): Pruned {
  const model = given.clone();
  const { splits, left } = splitKernels(model, { amount, skip, only });
  if (splits.length === 0) throw nothingToPrune(given.path ?? '', 'low-rank', reasonsOf(left));
  const parts = splits.map(({ node, before, after, error }) => {
    return part(node, `elements; ${(100 * error).toFixed(1)}% of it lost`, before, after);
  });
  return { model, parts: [...parts, ...leftOver(left, 'elements')], frozen: [], amount };
}

async function layers(
  given: Model,
  amount: number,
  { skip, only }: WeightSettings,
  context: MethodContext,
): Promise<Pruned> {
  const model = given.clone();
  const all = findBlocks(model);
  const held = all.map((block) => blockHeld(model, block, skip, only));
  const open = all.filter((_, i) => held[i] === undefined);
  if (open.length === 0) {
    const reasons = held.flatMap((reason) => reason ?? []);
    throw nothingToPrune(
      given.path ?? '',
      'layer',
      reasons.length > 0 ? reasons : ['it has no residual blocks'],
    );
  }
  const influence = await blockInfluence(model, open, observerOf(context, 'layer'));
  const order = open
    .map((_, i) => i)
    .sort((a, b) => (influence[a] as number) - (influence[b] as number) || a - b);
  const going = new Set(order.slice(0, Math.floor(amount * open.length)));
  const left = await withoutBlocks(
    model,
    open.filter((_, i) => going.has(i)),
    context.run,
  );
  const parts = open.map(({ node, branch: { size } }, i) => {
    const share = `nodes; influence ${(influence[i] as number).toPrecision(3)}`;
    return part(node, share, size, going.has(i) ? 0 : size, 'others have less influence');
  });
  const whole = all.flatMap(({ node }, i) => (held[i] ? [{ node, reason: held[i] }] : []));
  return { model: left, parts: [...parts, ...leftOver(whole, 'nodes')], frozen: [], amount };
}

/** Drops blocks, given in their order, in place, and what is dead without them. */
export async function withoutBlocks(
  model: Model,
  blocks: readonly Block[],
  run: Runner,
): Promise<Model> {
  // From the last one: what a block reads may be what the one before it gives.
  for (const block of [...blocks].reverse()) dropBlock(model, block);
  const dead = passes.filter(({ name }) => name === 'drop-dead');
  return (await runPasses(model, dead, { run, level: 'basic' })).model;
}

function part(node: Node, kind: string, before: number, after: number, why?: string): PartOutcome {
  const reason = before === after ? (why ?? 'nothing of it is small enough') : undefined;
  return { part: node.name || (node.outputs[0]?.name ?? ''), kind, before, after, reason };
}

function leftOver(
  left: readonly { readonly node: Node; readonly reason: string }[],
  kind: string,
): PartOutcome[] {
  return left.map(({ node, reason }) => part(node, kind, 0, 0, reason));
}

function reasonsOf(left: readonly { readonly reason: string }[]): string[] {
  return [...new Set(left.map(({ reason }) => reason))];
}
