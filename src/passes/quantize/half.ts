// Half precision (float16, bfloat16): nodes that may compute in half do, the rest is float32 islands
// with Casts at their borders, each with its reason.

import type { Model, Node, Value } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import { upgradeOpset } from '../upgrade/index.ts';
import type { QuantizeContext } from './context.ts';
import { type ConstantRange, LIMITS, measureConstant, singleData } from './half-constants.ts';
import { convertToHalf } from './half-convert.ts';
import { keepExact, keepStatistics } from './half-flow.ts';
import { keepByError, keepByRange, planFor } from './half-guard.ts';
import { type Half, isMove, isSingle } from './half-ops.ts';
import { HalfPlan, singlesAt } from './half-plan.ts';
import { keepByConstants, keepByOperator, maskLimit } from './half-rules.ts';
import { simulateHalf } from './half-simulate.ts';
import { storableWeights, storeInHalf } from './half-storage.ts';

export interface HalfOptions {
  readonly type: 'fp16' | 'bf16';
  /** Graph inputs and outputs stay float32. */
  readonly keepIo: boolean;
  /** Only the weights are stored in half; all is computed in float32. */
  readonly storage?: boolean;
  /** Operators that stay float32. */
  readonly opBlock?: readonly string[];
  /** Magnitude of values, over the calibration data, from which on nodes stay float32. */
  readonly dataMax?: number;
}

export const HALVES: Readonly<Record<HalfOptions['type'], Half>> = {
  fp16: 'float16',
  bf16: 'bfloat16',
};

/** Edits the model in place. */
export async function quantizeHalf(
  model: Model,
  options: HalfOptions,
  context: QuantizeContext,
): Promise<void> {
  const half = HALVES[options.type];
  const blocked = half === 'bfloat16' ? liftForBfloat16(model) : undefined;
  inferTypes(model);
  const isComputed = half === 'float16' || context.target.has('MatMul:bf16');
  if (blocked) tellBlocked(model, blocked, context);
  else if (options.storage || !isComputed) await store(model, options, context, isComputed);
  else await compute(model, options, context);
}

async function compute(
  model: Model,
  options: HalfOptions,
  context: QuantizeContext,
): Promise<void> {
  const plan = new HalfPlan(model, HALVES[options.type], options.keepIo);
  const ranges = await constantRanges(plan);
  const convert = (of: HalfPlan, rangeOf: ReadonlyMap<Value, ConstantRange>) =>
    convertToHalf(of, { limitOf: (value) => limitOf(value, of, rangeOf) });
  keepByRules(plan, ranges, options, context);
  const isForced = (node: Node) => context.wanted(node) === options.type;
  const { calibration } = context;
  if (calibration) {
    await keepByRange(plan, calibration, options.dataMax ?? LIMITS[plan.half].max / MARGIN);
  }
  plan.mergeIslands(isForced);
  if (calibration) {
    await keepByError(plan, calibration, (current) => {
      current.mergeIslands(isForced);
      const twin = planFor(current, model.clone());
      convert(twin, rangesFor(plan, twin, ranges));
      return simulateHalf(twin.model);
    });
  }
  tellAll(plan, ranges, options, context);
  convert(plan, ranges);
}

/** Other data may be larger than what was seen. */
const MARGIN = 4;

/** The ranges of the same constants in a copy. */
function rangesFor(
  plan: HalfPlan,
  twin: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
): Map<Value, ConstantRange> {
  const found = new Map<Value, ConstantRange>();
  const pair = (values: readonly Value[], others: readonly Value[]) => {
    values.forEach((value, i) => {
      const [range, other] = [ranges.get(value), others[i]];
      if (range && other) found.set(other, range);
    });
  };
  pair([...plan.constants.keys()], [...twin.constants.keys()]);
  const outputs = (of: HalfPlan) => [...of.able.keys()].map(({ output }) => output);
  pair(outputs(plan), outputs(twin));
  return found;
}

/** Cast knows bfloat16 since opset 13. The reason, where the model cannot be lifted to that. */
function liftForBfloat16(model: Model): string | undefined {
  const { model: lifted, blocked } = upgradeOpset(model, BFLOAT_OPSET);
  if (blocked) return `bfloat16 needs opset ${BFLOAT_OPSET}: ${blocked.reason}`;
  const { graph, functions, opsets, irVersion } = lifted;
  Object.assign(model, { graph, functions, opsets, irVersion });
  return undefined;
}

const BFLOAT_OPSET = 13;

function tellBlocked(model: Model, reason: string, context: QuantizeContext): void {
  for (const node of model.graph.nodes) {
    if (node.outputs.some(isSingle) && !isMove(node)) context.decide(node, 'float', reason);
  }
}

/** Weights in half, computing in float32. */
async function store(
  model: Model,
  { type, opBlock }: HalfOptions,
  context: QuantizeContext,
  isComputed: boolean,
): Promise<void> {
  const half = HALVES[type];
  const keeps = (node: Node) => {
    const wanted = context.wanted(node);
    if (wanted !== undefined && wanted !== type) return `it is to be ${wanted}`;
    return opBlock?.includes(node.op) ? 'its operator is blocked' : undefined;
  };
  const weights = await storableWeights(model, half, keeps);
  const why = isComputed ? '' : `: ${context.target.name} has no kernels for ${half}`;
  for (const { value, range, reason } of weights) {
    const lost = range.flushed > 0 ? `; ${range.flushed} of ${range.size} weights become 0` : '';
    for (const { node } of value.uses) {
      if (reason) context.decide(node, 'float', reason);
      else context.decide(node, type, `stored in ${half}, computed in float32${why}${lost}`);
    }
  }
  storeInHalf(model, half, weights);
}

/** What the constants hold that half might read, and what ConstantOfShape fills with. */
async function constantRanges(plan: HalfPlan): Promise<Map<Value, ConstantRange>> {
  const ranges = new Map<Value, ConstantRange>();
  for (const value of plan.constants.keys()) {
    const data = singleData(value);
    const isRead = value.uses.some(({ node, index }) => plan.able.get(node)?.inputs(index));
    if (data && isRead) ranges.set(value, await measureConstant(data, plan.half));
  }
  for (const node of plan.able.keys()) {
    const fill = node.op === 'ConstantOfShape' ? node.tensor('value') : undefined;
    if (fill) ranges.set(node.output, await measureConstant(fill, plan.half));
  }
  return ranges;
}

function keepByRules(
  plan: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
  options: HalfOptions,
  context: QuantizeContext,
): void {
  for (const node of [...plan.able.keys()]) {
    const wanted = context.wanted(node);
    if (wanted !== undefined && wanted !== options.type) {
      plan.keepFloat(node, `it is to be ${wanted}`);
    } else if (options.opBlock?.includes(node.op)) plan.keepFloat(node, 'its operator is blocked');
  }
  keepByOperator(plan, context.target);
  keepByConstants(plan, ranges);
  keepStatistics(plan);
  keepExact(plan);
}

function limitOf(
  value: Value,
  plan: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
): number | undefined {
  const range = ranges.get(value);
  return range && maskLimit(value, range, plan);
}

/** Tells what became of each node that calculates. */
function tellAll(
  plan: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
  options: HalfOptions,
  context: QuantizeContext,
): void {
  for (const node of plan.nodes()) {
    if (isMove(node)) continue;
    if (plan.chosen.has(node)) context.decide(node, options.type, lossOf(node, plan, ranges));
    else context.decide(node, 'float', plan.reasons.get(node));
  }
}

/** What of the constants of a node is not kept. */
function lossOf(
  node: Node,
  plan: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
): string | undefined {
  const losses = new Set<string>();
  for (const value of singlesAt(node, plan.able.get(node))) {
    const range = ranges.get(value);
    if (!range) continue;
    const limit = maskLimit(value, range, plan);
    if (limit) losses.add(`masks are kept within ±${limit.toPrecision(5)}`);
    if (range.flushed > 0) losses.add(`${range.flushed} of ${range.size} weights become 0`);
    if (range.nans > 0) losses.add(`${range.nans} of ${range.size} weights are NaN`);
  }
  return losses.size > 0 ? [...losses].join('; ') : undefined;
}
