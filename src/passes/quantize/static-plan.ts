// Which values a statically quantised model rounds to integers. Products of activations and weights
// are what it is for; operators between them follow where all they read is rounded already and what
// they make reaches another product; data movement carries the scale along. Everything else, above
// all what leads only to the outputs of the model, stays float.

import type { Model, Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { type QuantizeRole, quantizeRole } from '../../ops/quantize-roles.ts';
import { isOutput, onlyReader } from '../match.ts';
import type { QuantizeContext } from './context.ts';

export interface StaticPlan {
  /** Products that get integer operands. */
  readonly products: ReadonlySet<Node>;
  /** Values with a Q/DQ pair behind them. */
  readonly rounded: ReadonlySet<Value>;
  /** The value whose scale a rounded value has: itself, or where the data was moved from. */
  scaleOf(value: Value): Value;
  /** Ranges that are known without data. */
  readonly fixed: ReadonlyMap<Value, readonly [number, number]>;
}

export interface PlanOptions {
  /** Relu may stand between a kernel and its rounding only where its bound is the smallest integer. */
  readonly joins: boolean;
}

export function planStatic(
  model: Model,
  options: PlanOptions,
  context: QuantizeContext,
): StaticPlan {
  const products = new Set<Node>();
  for (const node of model.graph.nodes) {
    if (quantizeRole(node)?.kind !== 'product') continue;
    const reason = whyNot(node, context);
    if (reason === undefined) products.add(node);
    else context.decide(node, 'float', reason);
  }
  const candidates = forwardSet(model, products, options);
  const rounded = backwardSet(candidates, products, options);
  const fixed = new Map<Value, readonly [number, number]>();
  for (const value of rounded) {
    const range = value.producer && quantizeRole(value.producer)?.range;
    if (range) fixed.set(value, range);
  }
  return { products, rounded, fixed, scaleOf: (value) => sourceOf(value, rounded) };
}

/** Why a product stays float; undefined where it is quantised. */
function whyNot(node: Node, context: QuantizeContext): string | undefined {
  const wanted = context.wanted(node);
  if (wanted === 'float') return 'left float as asked';
  const operands = [node.inputs[0], node.inputs[1]];
  if (operands.some((value) => value?.producer?.op === 'DequantizeLinear')) {
    return 'it is quantised already';
  }
  const isSingle = operands.every((value) => value?.dtype === 'float32');
  if (!isSingle) return `it is of type ${operands[0]?.dtype ?? 'unknown'}, and float32 is needed`;
  const weights = operands.filter((value) => value && constantData(value));
  if (weights.length === 2) return 'both operands are constant';
  if (weights.length === 0) return 'both operands are activations';
  if (node.op !== 'MatMul' && operands[0] && constantData(operands[0])) {
    return 'its first operand is constant';
  }
  const weight = weights[0] && constantData(weights[0]);
  if (weight && weight.size === 0) return 'its weight is empty';
  return undefined;
}

/** Values that could be rounded, in graph order: what products read and make, and what follows. */
function forwardSet(
  model: Model,
  products: ReadonlySet<Node>,
  options: PlanOptions,
): ReadonlySet<Value> {
  const found = new Set<Value>();
  for (const node of products) for (const value of activations(node)) found.add(value);
  for (const node of model.graph.nodes) {
    const role = quantizeRole(node);
    if (!role) continue;
    if (products.has(node)) {
      if (role.needsOutput) found.add(roundedResult(node, options));
    } else if (follows(node, role, found, options)) {
      for (const output of node.outputs) if (isSingle(output)) found.add(output);
    }
  }
  return found;
}

function follows(
  node: Node,
  role: QuantizeRole,
  found: ReadonlySet<Value>,
  options: PlanOptions,
): boolean {
  if (role.kind === 'product') return false;
  const data = dataInputs(node, role);
  const moving = data.filter((value) => !constantData(value));
  // A Relu that was joined has its result among the found ones by its kernel.
  if (role.kind === 'join' && moving.some((value) => joinedBy(value, options) === node))
    return false;
  return moving.length > 0 && moving.every((value) => found.has(value)) && data.every(isSingle);
}

/** Keeps what products read, what their kernels make, and all that lies between. */
function backwardSet(
  candidates: ReadonlySet<Value>,
  products: ReadonlySet<Node>,
  options: PlanOptions,
): ReadonlySet<Value> {
  const kept = new Set<Value>();
  const open: Value[] = [];
  const keep = (value: Value) => {
    if (kept.has(value) || !candidates.has(value)) return;
    kept.add(value);
    open.push(value);
  };
  for (const node of products) {
    for (const value of activations(node)) keep(value);
    if (quantizeRole(node)?.needsOutput) keep(roundedResult(node, options));
  }
  for (let value = open.pop(); value; value = open.pop()) {
    const node = value.producer;
    const role = node && quantizeRole(node);
    if (!node || !role || products.has(node) || role.kind === 'product') continue;
    for (const input of dataInputs(node, role)) keep(input);
  }
  return kept;
}

export function activations(node: Node): Value[] {
  return [node.inputs[0], node.inputs[1]].flatMap((value) =>
    value && !constantData(value) ? [value] : [],
  );
}

export function dataInputs(node: Node, role: QuantizeRole): Value[] {
  const indices = role.data ?? node.inputs.map((_, i) => i);
  return indices.flatMap((i) => node.inputs[i] ?? []);
}

function isSingle(value: Value): boolean {
  return value.dtype === 'float32';
}

/** The value behind a product that is rounded: that of a Relu or Clip which alone reads it. */
function roundedResult(node: Node, options: PlanOptions): Value {
  const joined = joinedBy(node.output, options);
  return joined ? joined.output : node.output;
}

function joinedBy(value: Value, options: PlanOptions): Node | undefined {
  if (!options.joins || isOutput(value)) return undefined;
  const reader = onlyReader(value);
  if (!reader || reader.inputs[0] !== value || !isLowerBoundZero(reader)) return undefined;
  const maker = value.producer;
  return maker && quantizeRole(maker)?.kind === 'product' ? reader : undefined;
}

/** Relu, and Clip from 0 on: the smallest integer stands for 0. */
function isLowerBoundZero(node: Node): boolean {
  if (quantizeRole(node)?.kind !== 'join') return false;
  if (node.op === 'Relu') return true;
  const low = node.inputs[1] && constantData(node.inputs[1]);
  if (low && 'read' in low.source && low.dtype === 'float32') return low.values()[0] === 0;
  return node.inputs.length === 1 && node.float('min') === 0;
}

/** Moved data keeps the scale it was rounded with. */
function sourceOf(value: Value, rounded: ReadonlySet<Value>): Value {
  let source = value;
  for (;;) {
    const node = source.producer;
    const role = node && quantizeRole(node);
    const input = node && role?.kind === 'move' ? node.inputs[0] : undefined;
    if (!input || !rounded.has(input)) return source;
    source = input;
  }
}
