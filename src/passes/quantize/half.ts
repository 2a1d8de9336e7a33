// Half precision (float16, bfloat16): nodes that may compute in half do, the rest is float32 islands
// with Casts at their borders, each with its reason.

import { graphsOf, type Model, type Node, type Value } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import type { Target } from '../../targets/target.ts';
import { upgradeOpset } from '../upgrade/index.ts';
import type { QuantizeContext } from './context.ts';
import { type ConstantRange, LIMITS, measureConstant, singleData } from './half-constants.ts';
import { convertToHalf } from './half-convert.ts';
import { keepExact, keepStatistics } from './half-flow.ts';
import { keepByError, keepByRange, planFor } from './half-guard.ts';
import { findMasks, MASK, setMasks, withoutMasks } from './half-masks.ts';
import { type Half, isMove, isSingle } from './half-ops.ts';
import { HalfPlan, singlesAt } from './half-plan.ts';
import { keepByConstants, keepByOperator } from './half-rules.ts';
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
  const isComputed = half === 'float16' || context.target.has('MatMul:bf16');
  const blocked = half === 'bfloat16' ? liftForBfloat16(model, isComputed) : undefined;
  inferTypes(model);
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
  keepByRules(plan, ranges, options, context);
  const masks = findMasks(plan, ranges);
  setMasks(masks, plan.constants, MASK);
  const isForced = (node: Node) => context.wanted(node) === options.type;
  const { calibration } = context;
  if (calibration) {
    const dataMax = options.dataMax ?? LIMITS[plan.half].max / MARGIN;
    await keepByRange(plan, withoutMasks(plan, masks), calibration, dataMax);
  }
  plan.mergeIslands(isForced);
  if (calibration) {
    await keepByError(plan, calibration, (current) => {
      current.mergeIslands(isForced);
      const twin = planFor(current, model.clone());
      convertToHalf(twin);
      return simulateHalf(twin.model);
    });
  }
  tellAll(plan, ranges, new Set(masks), options, context);
  convertToHalf(plan);
}

/** Other data may be larger than what was seen. */
const MARGIN = 4;

/**
 * Lifts a model to the opset in which Cast knows bfloat16, or, to compute in it, convolutions too. The
 * reason, where not even the first can be.
 */
function liftForBfloat16(model: Model, isComputed: boolean): string | undefined {
  if (isComputed && lift(model, CONV_OPSET) === undefined) return undefined;
  const reason = lift(model, CAST_OPSET);
  return reason && `bfloat16 needs opset ${CAST_OPSET}: ${reason}`;
}

const CAST_OPSET = 13;
const CONV_OPSET = 22;

function lift(model: Model, opset: number): string | undefined {
  const { model: lifted, blocked } = upgradeOpset(model, opset);
  const { graph, functions, opsets, irVersion } = lifted;
  if (!blocked) Object.assign(model, { graph, functions, opsets, irVersion });
  return blocked?.reason;
}

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

/** What the user should know of half precision on a target; undefined: nothing. */
export function halfAdvice({ type, storage }: HalfOptions, target: Target): string | undefined {
  if (storage || target.has(`MatMul:${type}`)) return undefined;
  const half = HALVES[type];
  if (type === 'bf16') return `${target.name} has no ${half} kernels: only the weights are ${half}`;
  return `${target.name} casts ${half} to float32 to compute: the model is smaller there, not faster`;
}

/** Tells what became of each node that calculates. */
function tellAll(
  plan: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
  masks: ReadonlySet<Value>,
  options: HalfOptions,
  context: QuantizeContext,
): void {
  if (plan.chosen.size === 0) tellHalved(plan, context);
  for (const node of plan.nodes()) {
    const loss = plan.chosen.has(node) ? lossOf(node, plan, ranges, masks) : undefined;
    if (isMove(node) && !loss) continue;
    if (plan.chosen.has(node)) context.decide(node, options.type, loss);
    else context.decide(node, 'float', plan.reasons.get(node));
  }
}

/** Says of a model that is half already why there is nothing to do. */
function tellHalved({ model }: HalfPlan, context: QuantizeContext): void {
  for (const graph of graphsOf(model.graph)) {
    for (const node of graph.nodes) {
      const half = node.outputs.find(({ dtype }) => dtype === 'float16' || dtype === 'bfloat16');
      if (half && !isMove(node)) context.decide(node, 'float', `it is ${half.dtype} already`);
    }
  }
}

/** What of the constants of a node is not kept. */
function lossOf(
  node: Node,
  plan: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
  masks: ReadonlySet<Value>,
): string | undefined {
  const losses = new Set<string>();
  for (const value of singlesAt(node, plan.able.get(node))) {
    const range = ranges.get(value);
    if (!range) continue;
    if (masks.has(value)) losses.add(`masks are kept within ±${MASK}`);
    if (range.flushed > 0) losses.add(`${range.flushed} of ${range.size} weights become 0`);
    if (range.nans > 0) losses.add(`${range.nans} of ${range.size} weights are NaN`);
  }
  return losses.size > 0 ? [...losses].join('; ') : undefined;
}
