// What stays float32 by what can be seen in the graph alone: operators whose results leave the range
// of half or need every digit, constants that half cannot hold, quantised groups.

import type { Node, Value } from '../../graph/index.ts';
import type { Target } from '../../targets/target.ts';
import { producer } from '../match.ts';
import { type ConstantRange, isMask, LIMITS } from './half-constants.ts';
import { keepFollowers } from './half-flow.ts';
import { isMove, kernelOf, staysFloat } from './half-ops.ts';
import type { HalfPlan } from './half-plan.ts';

export function keepByOperator(plan: HalfPlan, target: Target): void {
  for (const node of [...plan.able.keys()]) {
    // Runtimes cast where they have no float16 kernel; with bfloat16 they refuse the model.
    if (plan.half === 'bfloat16' && !target.has(`${kernelOf(node)}:bf16`)) {
      plan.keepFloat(node, `${target.name} has no bfloat16 kernel for it`);
    }
    const reason = staysFloat(node) ?? scatters(node) ?? drops(node) ?? smallEpsilon(node, plan);
    if (reason) plan.keepFloat(node, reason);
    else if (isQuantizedNeighbour(node, plan))
      plan.keepFloat(node, 'it is part of a quantised group');
  }
}

/** What training mode drops depends on the kernel. */
function drops(node: Node): string | undefined {
  const training = node.op === 'Dropout' ? node.input(2) : undefined;
  return training ? 'other numbers would be drawn' : undefined;
}

/** Runtimes have no kernels for it, and every addition would round. */
function scatters(node: Node): string | undefined {
  const reduction = node.op.startsWith('Scatter') ? node.string('reduction', 'none') : 'none';
  return reduction === 'none' ? undefined : `scattering with "${reduction}" has no half kernel`;
}

/** Normalisations that add their epsilon in the precision of the data. */
function smallEpsilon(node: Node, { half }: HalfPlan): string | undefined {
  if (!/^(Batch|Instance|Group)Norm/.test(node.op)) return undefined;
  const epsilon = node.float('epsilon', 1e-5);
  if (epsilon === 0 || epsilon >= LIMITS[half].tiny) return undefined;
  return `its epsilon of ${epsilon.toPrecision(2)} is zero in ${half}`;
}

/** Runtimes look for DequantizeLinear, operator, QuantizeLinear side by side. */
function isQuantizedNeighbour(node: Node, plan: HalfPlan): boolean {
  if (node.op === 'DequantizeLinear') {
    return !isWeight(node, plan) || node.output.uses.some((use) => isInGroup(use.node, plan));
  }
  return node.op === 'QuantizeLinear' || isInGroup(node, plan) || isIntegerProduct(node);
}

/** Scales made at run time, sums of integer products, and what brings the two together. */
function isIntegerProduct(node: Node): boolean {
  if (node.inputs.some((value) => producer(value, 'DynamicQuantizeLinear'))) return true;
  const sums = node.op === 'Mul' ? node.inputs.map((value) => producer(value, 'Cast')) : [node];
  return sums.some((cast) => cast?.op === 'Cast' && isInteger(cast.input(0)?.producer));
}

function isInteger(node: Node | undefined): boolean {
  return node !== undefined && /^(MatMul|Conv)Integer$/.test(node.op);
}

function isInGroup(node: Node, plan: HalfPlan): boolean {
  const isFed = node.inputs.some((value) => {
    const dequantize = producer(value, 'DequantizeLinear');
    return dequantize && !isWeight(dequantize, plan);
  });
  const readers = node.outputs.flatMap(({ uses }) => uses.map((use) => use.node));
  return isFed || readers.some(({ op }) => op === 'QuantizeLinear');
}

/** A stored weight, and not an activation. */
function isWeight(dequantize: Node, plan: HalfPlan): boolean {
  return dequantize.inputs.every((value) => !value || plan.constants.has(value));
}

/** What can be done with a mask in half; moves include bounds (Clip, Max, Min). */
const MASKING = new Set(['Add', 'Sub', 'Mul', 'Where']);

/** Keeps readers of constants float32 that half cannot hold, and says why. */
export function keepByConstants(plan: HalfPlan, ranges: ReadonlyMap<Value, ConstantRange>): void {
  for (const [value, range] of ranges) {
    const reason = whyNotHalf(range, plan);
    for (const { node, index } of value.uses) {
      if (!plan.able.get(node)?.inputs(index)) continue;
      if (reason) plan.keepFloat(node, reason);
      else if (isMask(range) && !MASKING.has(node.op) && !isMove(node)) {
        plan.keepFloat(node, beyond(range, plan));
      } else if (range.over > 0 && !isMask(range)) {
        plan.keepFloat(node, beyond(range, plan));
        keepFollowers(plan, node);
      }
    }
  }
}

function beyond({ leastOver }: ConstantRange, { half }: HalfPlan): string {
  return `a constant of it holds ${leastOver.toPrecision(3)}, beyond ${half} (${LIMITS[half].max})`;
}

/** Small constants are epsilons and factors, which matter one by one; of weights some may go. */
const FEW = 16;
const MOST = 0.1;

function whyNotHalf(range: ConstantRange, { half }: HalfPlan): string | undefined {
  const { size, flushed, coarse } = range;
  if (size <= FEW && flushed > 0) return `a constant of it is too small for ${half}`;
  if (size <= FEW && coarse > 0) return `a constant of it loses its digits in ${half}`;
  if (flushed + coarse > size * MOST) {
    return `${flushed + coarse} of ${size} weights are too small for ${half}`;
  }
  return undefined;
}
