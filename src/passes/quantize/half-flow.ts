// What stays float32 by where it leads: squares, up to their root; what becomes a whole number or the
// argument of a sine; readers of what is beyond half.

import type { Node, Value } from '../../graph/index.ts';
import { dtypeInfo, isFloat, isInteger } from '../../tensor/dtype.ts';
import { scalar } from '../match.ts';
import { isMove, isSingle } from './half-ops.ts';
import type { HalfPlan } from './half-plan.ts';

const FOLLOWS = new Set(['Add', 'Sub', 'Where', 'Max', 'Min', 'Clip', 'Softmax', 'LogSoftmax']);

/** What is beyond half must not be cast to it: its readers stay float32, too, up to a Softmax. */
export function keepFollowers(plan: HalfPlan, start: Node): void {
  const queue = [start];
  for (const node of queue) {
    if (node.op.endsWith('Softmax')) continue;
    for (const { reader } of readersOf(node)) {
      if (!plan.chosen.has(reader) || !(FOLLOWS.has(reader.op) || isMove(reader))) continue;
      plan.keepFloat(reader, `it reads what may be beyond ${plan.half}`);
      queue.push(reader);
    }
  }
}

function readersOf(node: Node): { value: Value; reader: Node }[] {
  return node.outputs
    .filter(isSingle)
    .flatMap((value) => value.uses.map((use) => ({ value, reader: use.node })));
}

const STATISTICS = new Set([
  ...['ReduceMean', 'ReduceSum', 'GlobalAveragePool', 'AveragePool', 'Sqrt', 'Reciprocal'],
]);
const ARITHMETIC = new Set(['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Clip', 'Pow']);

const SQUARES = 'squares may be beyond half: a norm or a normalisation in parts';

/** Squares and what is calculated of them, up to the root that brings them back into range. */
export function keepStatistics(plan: HalfPlan): void {
  const statistics = new Set<Node>();
  const queue = [...plan.nodes()].filter(isSquare);
  for (const node of queue) {
    if (statistics.has(node)) continue;
    statistics.add(node);
    plan.keepFloat(node, SQUARES);
    if (node.op === 'Sqrt' || node.op === 'Reciprocal') continue;
    for (const { value, reader } of readersOf(node)) {
      if (!plan.has(reader)) continue;
      if (reader.op === 'Div' && reader.input(1) === value) plan.keepFloat(reader, SQUARES);
      else if (isStatistic(reader, value, statistics, plan)) queue.push(reader);
    }
  }
}

/** Whether a result is as large as the squares that went into it. */
function isStatistic(
  reader: Node,
  square: Value,
  statistics: ReadonlySet<Node>,
  plan: HalfPlan,
): boolean {
  if (STATISTICS.has(reader.op) || isMove(reader)) return true;
  if (!ARITHMETIC.has(reader.op)) return false;
  return reader.inputs.every((value) => {
    if (!value || value === square || plan.constants.has(value)) return true;
    return value.producer !== undefined && statistics.has(value.producer);
  });
}

function isSquare(node: Node): boolean {
  if (node.domain !== '') return false;
  if (node.op === 'Mul') return node.input(0) === node.input(1);
  return node.op === 'Pow' && (scalar(node.input(1)) ?? 2) > 1;
}

/** Elementwise operators and moves: what leads to a whole number or to an angle. */
const EXACT = new Set([
  ...['Add', 'Sub', 'Mul', 'Div', 'Floor', 'Ceil', 'Round', 'Clip', 'Min', 'Max', 'Abs', 'Neg'],
  ...['Sqrt', 'Relu', 'Where', 'Pow', 'Log', 'Sign', 'Concat', 'Slice', 'Squeeze', 'Unsqueeze'],
  ...['Reshape', 'Transpose', 'Expand', 'Tile', 'Flatten', 'Identity', 'Cast', 'Split', 'Trilu'],
]);

/** Whole numbers and angles are calculated in float32 from their beginning on. */
export function keepExact(plan: HalfPlan): void {
  for (const node of [...plan.nodes()]) {
    if (node.domain !== '') continue;
    if (node.op === 'Cast' && isWholeNumber(node.output)) {
      keepBack(plan, node, 'whole numbers are made of it');
    } else if (node.op === 'Sin' || node.op === 'Cos') {
      keepBack(plan, node, 'an angle is made of it');
    }
  }
}

function isWholeNumber({ dtype }: Value): boolean {
  return dtype !== undefined && isInteger(dtype) && dtypeInfo(dtype).bits > 1;
}

function keepBack(plan: HalfPlan, end: Node, reason: string): void {
  const queue = [end];
  const seen = new Set(queue);
  for (const node of queue) {
    plan.keepFloat(node, reason);
    for (const value of node.inputs) {
      const before = isSingle(value) ? value.producer : undefined;
      if (!before || seen.has(before) || !isExact(before, plan)) continue;
      seen.add(before);
      queue.push(before);
    }
  }
}

/** Frequencies times positions: a MatMul of constants with what comes from whole numbers. */
function isExact(node: Node, plan: HalfPlan): boolean {
  if (node.domain !== '' || !plan.has(node)) return false;
  if (EXACT.has(node.op)) return true;
  const isProduct = node.op === 'MatMul' || node.op === 'Einsum';
  return isProduct && node.inputs.every((value) => comesFromWhole(value, plan, MAX_STEPS));
}

/** Nodes between a position and its angle, at most. */
const MAX_STEPS = 12;

function comesFromWhole(value: Value | undefined, plan: HalfPlan, steps: number): boolean {
  if (!isSingle(value) || plan.constants.has(value)) return true;
  const { producer } = value;
  if (producer?.domain !== '' || steps === 0) return false;
  if (producer.op === 'Range') return true;
  if (producer.op === 'Cast') return !isFloat(producer.input(0)?.dtype ?? 'float32');
  if (!EXACT.has(producer.op)) return false;
  return producer.inputs.every((input) => comesFromWhole(input, plan, steps - 1));
}
