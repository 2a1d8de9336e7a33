// Half precision (float16, bfloat16): nodes that may compute in half do, the rest is float32 islands
// with Casts at their borders, each with its reason.

import type { Model, Node, Value } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import type { QuantizeContext } from './context.ts';
import { type ConstantRange, measureConstant, singleData } from './half-constants.ts';
import { convertToHalf } from './half-convert.ts';
import { keepExact, keepStatistics } from './half-flow.ts';
import { type Half, isMove } from './half-ops.ts';
import { HalfPlan, singlesAt } from './half-plan.ts';
import { keepByConstants, keepByOperator, maskLimit } from './half-rules.ts';

export interface HalfOptions {
  readonly type: 'fp16' | 'bf16';
  /** Graph inputs and outputs stay float32. */
  readonly keepIo: boolean;
  /** Operators that stay float32. */
  readonly opBlock?: readonly string[];
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
  inferTypes(model);
  const plan = new HalfPlan(model, HALVES[options.type], options.keepIo);
  const ranges = await constantRanges(plan);
  makePlan(plan, ranges, options, context);
  tellAll(plan, ranges, options, context);
  convertToHalf(plan, { limitOf: (value) => limitOf(value, plan, ranges) });
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

function makePlan(
  plan: HalfPlan,
  ranges: ReadonlyMap<Value, ConstantRange>,
  options: HalfOptions,
  context: QuantizeContext,
): void {
  const isForced = (node: Node) => context.wanted(node) === options.type;
  for (const node of [...plan.able.keys()]) {
    const wanted = context.wanted(node);
    if (wanted !== undefined && wanted !== options.type) {
      plan.keepFloat(node, `it is to be ${wanted}`);
    } else if (options.opBlock?.includes(node.op)) plan.keepFloat(node, 'its operator is blocked');
  }
  keepByOperator(plan);
  keepByConstants(plan, ranges);
  keepStatistics(plan);
  keepExact(plan);
  plan.mergeIslands(isForced);
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
