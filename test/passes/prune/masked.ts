// The original in which every operator that sums over a removed position finds zero there: what a
// pruned graph must be equal to.

import { Builder, type Model, type Node, type Value } from '../../../src/graph/index.ts';
import { constantData, inferNode } from '../../../src/ops/index.ts';
import type { Choice } from '../../../src/passes/prune/cut.ts';
import { findGroups, type Group, type Groups } from '../../../src/passes/prune/group.ts';
import { type DType, dtypeCode, isFloat } from '../../../src/tensor/dtype.ts';
import { Random } from '../../../src/tensor/random.ts';
import { floatTensor } from '../../../src/tensor/scale.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';

/** A share of the units of every group that can be cut without mixing, at least one of each. */
export function chooseRandomly(
  groups: readonly Group[],
  amount: number,
  { seed = 0, withMixed = false } = {},
): Choice[] {
  return groups
    .filter(({ exact }) => exact || withMixed)
    .map((group) => {
      const count = Math.min(Math.max(Math.round(group.units * amount), 1), group.units - 1);
      const order = new Random(seed, group.name).permutation(group.units);
      return { group, units: order.slice(0, count) };
    });
}

/** The same choice in another copy of the model. */
function moved(choices: readonly Choice[], { groups }: Groups): Choice[] {
  return choices.map(({ group, units }) => ({ group: groups[group.id] as Group, units }));
}

/** A copy in which what is removed counts as zero wherever it is summed over. */
export function masked(model: Model, choices: readonly Choice[]): Model {
  const copy = model.clone();
  const found = findGroups(copy);
  const gone = new Map<Value, Map<number, Set<number>>>();
  for (const { group, units } of moved(choices, found)) {
    for (const { value, axis, positions } of [...group.weights, ...group.values]) {
      const axes = gone.get(value) ?? new Map<number, Set<number>>();
      gone.set(value, axes);
      const set = axes.get(axis) ?? new Set<number>();
      axes.set(axis, set);
      for (const unit of units) for (const i of positions[unit] ?? []) set.add(i);
    }
  }
  for (const { node, input, axis } of found.sums) {
    const value = node.inputs[input] as Value;
    const original = originals.get(value) ?? value;
    const positions = gone.get(original)?.get(axis);
    if (positions && positions.size > 0) maskInput(copy, node, input, axis, positions);
  }
  return copy;
}

/** The value that a mask stands before. */
const originals = new WeakMap<Value, Value>();

function maskInput(
  model: Model,
  node: Node,
  input: number,
  axis: number,
  gone: ReadonlySet<number>,
): void {
  const { graph } = node;
  const value = node.inputs[input] as Value;
  const shape = value.shape ?? [];
  if (!graph) return;
  const g = new Builder(graph, node, (made) => inferNode(model, made));
  const size = shape[axis] as number;
  const dims = shape.map((_, i) => (i === axis ? size : 1));
  const keep = Array.from({ length: size }, (_, i) => (gone.has(i) ? 0 : 1));
  const dtype = value.dtype ?? 'float32';
  const by = isFloat(dtype)
    ? maskFloats(g, value, dtype, dims, keep, model.opset)
    : maskIntegers(g, node, value, dims, keep);
  originals.set(by, originals.get(value) ?? value);
  node.setInput(input, by);
}

/** A product where Where is not known or not for this type; infinities do not come up there. */
function maskFloats(
  g: Builder,
  value: Value,
  dtype: DType,
  dims: readonly number[],
  keep: readonly number[],
  opset: number,
): Value {
  if (opset < 9 || dtype === 'float16') {
    const factors = g.constant('keep', floatTensor(dtype, dims, Float64Array.from(keep)));
    return g.op('Mul', [value, factors]);
  }
  const zero = g.constant('zero', floatTensor(dtype, [], Float64Array.of(0)));
  return g.op('Where', [g.constant('keep', Tensor.of('bool', dims, keep)), value, zero]);
}

/** Integers stand for zero by their zero point, input 2 of nearly all that sum over them. */
function maskIntegers(
  g: Builder,
  node: Node,
  value: Value,
  dims: readonly number[],
  keep: readonly number[],
): Value {
  const point = node.inputs[node.op === 'MatMulIntegerToFloat' ? 4 : 2];
  const zero = (point && constantData(point)?.numbers()[0]) ?? 0;
  const bits = g.constant('keep', Tensor.of('bool', dims, keep));
  const floats = g.op('Cast', [value], { to: dtypeCode('float32') });
  const masked = g.op('Where', [bits, floats, g.constant('zero', Tensor.scalar('float32', zero))]);
  return g.op('Cast', [masked], { to: dtypeCode(value.dtype ?? 'float32') });
}
