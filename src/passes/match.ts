// The few questions that fusions ask about the neighbourhood of a node, and the two ways to put a
// result in place. Not a pattern language: each fusion says in plain code what it looks for.

import type { Graph, Node, Value } from '../graph/index.ts';
import { constantData, knownElements } from '../ops/index.ts';
import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { RewriteContext } from './pass.ts';

/** The node that makes a value, where it is one of these standard operators. */
export function producer(value: Value | undefined, ...ops: string[]): Node | undefined {
  const node = value?.producer;
  return node && node.domain === '' && ops.includes(node.op) ? node : undefined;
}

/** Whether a value leaves the graph it is made in. */
export function isOutput(value: Value): boolean {
  return value.producer?.graph?.outputs.includes(value) ?? false;
}

/** Whether exactly one node input reads the value, and nothing outside. */
export function onlyUse(value: Value): boolean {
  return value.uses.length === 1 && !isOutput(value);
}

/** The node that alone reads a value, if it stands in the same graph. */
export function onlyReader(value: Value): Node | undefined {
  const reader = onlyUse(value) ? value.uses[0]?.node : undefined;
  return reader && reader.graph === value.producer?.graph ? reader : undefined;
}

/** Data that no run can change and that is at hand. */
export function constant(value: Value | undefined): Tensor | undefined {
  const data = value && constantData(value);
  return data && 'read' in data.source ? data : undefined;
}

interface ConstantBehind {
  readonly value: Value;
  readonly data: Tensor;
  /** Stands between it and its reader. */
  readonly transpose: Node | undefined;
}

/** The constant that an input reads, directly or through a Transpose of a matrix. */
export function constantBehind(value: Value | undefined): ConstantBehind | undefined {
  const data = value && constantData(value);
  if (value && data) return { value, data, transpose: undefined };
  const transpose = producer(value, 'Transpose');
  const inner = transpose?.input(0);
  const behind = inner && constantData(inner);
  if (!transpose || !inner || behind?.shape.length !== 2) return undefined;
  const isSwap = (transpose.ints('perm') ?? [1, 0])[0] === 1;
  return isSwap ? { value: inner, data: behind, transpose } : undefined;
}

/** Fits a look at every element. */
const SMALL = 1 << 20;

/** The elements of a small numeric constant as numbers. */
export function numbers(value: Value | undefined): number[] | undefined {
  const data = constant(value);
  if (!data || data.size > SMALL || data.dtype === 'string') return undefined;
  return Array.from(elementsOf(data) as ArrayLike<number | bigint>, Number);
}

/** The number a constant of one element holds, whatever its rank. */
export function scalar(value: Value | undefined): number | undefined {
  const data = constant(value);
  return data?.size === 1 ? numbers(value)?.[0] : undefined;
}

/** Whether a constant of one element is this number, as closely as its type can say. */
export function isScalar(value: Value | undefined, expected: number): boolean {
  const found = scalar(value);
  return found !== undefined && isNear(found, expected, value);
}

/** Both orders of the two inputs of a node; none where old attributes say how they broadcast. */
export function operands(node: Node): [Value, Value][] {
  const [a, b] = node.inputs;
  // Before opset 7.
  if (!a || !b || node.attrs.has('broadcast') || node.attrs.has('axis')) return [];
  return a === b
    ? [[a, b]]
    : [
        [a, b],
        [b, a],
      ];
}

export interface WithScalar {
  readonly node: Node;
  readonly x: Value;
  readonly scalar: number;
}

/** `x op scalar`, the scalar on either side where the operator commutes. */
export function withScalar(value: Value | undefined, op: string): WithScalar | undefined {
  const node = producer(value, op);
  if (!node) return undefined;
  const orders = op === 'Add' || op === 'Mul' ? operands(node) : operands(node).slice(0, 1);
  for (const [x, c] of orders) {
    const number = scalar(c);
    // A constant of higher rank would widen the result.
    if (number !== undefined && (constant(c)?.shape.length ?? 0) <= (x.shape?.length ?? 0)) {
      return { node, x, scalar: number };
    }
  }
  return undefined;
}

/** Bounds of a Clip: attributes before opset 11, inputs after. */
export function clipBounds(node: Node): { min: number; max: number } | undefined {
  const bound = (name: string, index: number, open: number) =>
    node.input(index) ? scalar(node.input(index)) : node.float(name, open);
  const min = bound('min', 1, Number.NEGATIVE_INFINITY);
  const max = bound('max', 2, Number.POSITIVE_INFINITY);
  return min === undefined || max === undefined ? undefined : { min, max };
}

/** A product of powers: `coefficient * a^2 * b`, with the nodes that multiply. */
export interface Monomial {
  coefficient: number;
  readonly powers: Map<Value, number>;
  readonly nodes: Set<Node>;
}

/**
 * Takes apart what Mul, Div by a scalar, Neg and Pow of a whole number make of a value, down to
 * other operators and to `stop`.
 */
export function monomial(value: Value, stop?: Value): Monomial {
  const result: Monomial = { coefficient: 1, powers: new Map(), nodes: new Set() };
  multiplyInto(result, value, 1, stop);
  return result;
}

function multiplyInto(into: Monomial, value: Value, power: number, stop: Value | undefined): void {
  const node = value === stop ? undefined : producer(value, 'Mul', 'Div', 'Pow');
  const number = scalar(value);
  if (number !== undefined) {
    into.coefficient *= number ** power;
    return;
  }
  const [a, b] = node ? (operands(node)[0] ?? []) : [];
  const divisor = scalar(b);
  if (node?.op === 'Mul' && a && b) {
    into.nodes.add(node);
    multiplyInto(into, a, power, stop);
    multiplyInto(into, b, power, stop);
  } else if (node?.op === 'Div' && a && divisor !== undefined) {
    into.nodes.add(node);
    into.coefficient /= divisor ** power;
    multiplyInto(into, a, power, stop);
  } else if (node?.op === 'Pow' && a && (divisor === 2 || divisor === 3)) {
    into.nodes.add(node);
    multiplyInto(into, a, power * divisor, stop);
  } else {
    into.powers.set(value, (into.powers.get(value) ?? 0) + power);
  }
}

/** Whether two numbers are equal as far as a constant of this type can say. */
export function isNear(found: number, expected: number, like?: Value): boolean {
  const coarse = like?.dtype === 'float16' || like?.dtype === 'bfloat16';
  return Math.abs(found - expected) <= Math.abs(expected) * (coarse ? 4e-3 : 1e-5);
}

/** Types that the fused activations of onnxruntime's CPU provider have kernels for. */
export function isSingleOrHalf(value: Value | undefined): boolean {
  return value?.dtype === 'float32' || value?.dtype === 'float16';
}

/** The values of an integer attribute that later opsets moved to an input. */
export function intsOf(
  node: Node,
  attribute: string,
  input: number,
): readonly number[] | undefined {
  const given = node.ints(attribute);
  if (given) return given;
  const value = node.input(input);
  const known = value && knownElements(value);
  return known?.every((dim) => typeof dim === 'number') ? (known as readonly number[]) : undefined;
}

/** Axes counted from the front, in order. */
export function normalAxes(axes: readonly number[], rank: number): number[] {
  return axes.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);
}

/** Whether a value is a float that weights can be calculated in. */
export function isFloatValue(value: Value | undefined): boolean {
  return value?.dtype !== undefined && isFloat(value.dtype);
}

/** Whether results of the matched nodes, but for `output`, are read by none but them. */
export function isClosed(matched: ReadonlySet<Node>, output: Value): boolean {
  for (const node of matched) {
    for (const value of node.outputs) {
      if (value === output) continue;
      if (isOutput(value) || value.uses.some((use) => !matched.has(use.node))) return false;
    }
  }
  return true;
}

/**
 * Puts `by` in the place of `old` and removes the matched nodes that nobody reads any more.
 * False, and no change, where the names of graph outputs forbid it.
 */
export function fuse(
  context: RewriteContext,
  matched: Iterable<Node>,
  old: Value,
  by: Value,
): boolean {
  const { graph } = context;
  if (!graph.canReplace(old, by)) return false;
  if (!by.shape && old.type) by.type = old.type;
  graph.replace(old, by);
  removeDead(graph, matched);
  return true;
}

/** Removes those of the nodes whose results nobody reads, and the initializers they alone read. */
export function removeDead(graph: Graph, nodes: Iterable<Node>): void {
  const left = new Set(nodes);
  for (let removed = true; removed; ) {
    removed = false;
    for (const node of left) {
      if (node.graph !== graph || node.outputs.some((v) => v.uses.length > 0 || isOutput(v)))
        continue;
      const inputs = [...node.inputs];
      graph.remove(node);
      for (const value of inputs) dropUnused(graph, value);
      left.delete(node);
      removed = true;
    }
  }
}

/** Removes an initializer that nobody reads. */
export function dropUnused(graph: Graph, value: Value | undefined): void {
  if (!value || value.uses.length > 0 || !graph.initializers.has(value)) return;
  if (!graph.inputs.includes(value) && !graph.outputs.includes(value))
    graph.removeInitializer(value);
}
