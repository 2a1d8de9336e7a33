// The test of the surgery: a pruned graph computes what the original computes when every operator that
// sums over a removed position finds zero there.

import { expect } from '@jest/globals';
import {
  Builder,
  checkModel,
  type Model,
  type Node,
  type Value,
} from '../../../src/graph/index.ts';
import { constantData, inferNode, inferTypes } from '../../../src/ops/index.ts';
import { type Choice, cutUnits } from '../../../src/passes/prune/cut.ts';
import { findGroups, type Group, type Groups } from '../../../src/passes/prune/group.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { compareTensors } from '../../../src/tensor/compare.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Random } from '../../../src/tensor/random.ts';
import { floatTensor } from '../../../src/tensor/scale.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';

const run = createRunner();

/** A share of the units of every group that can be cut without mixing, at least one of each. */
export function chooseRandomly(groups: readonly Group[], amount: number, seed = 0): Choice[] {
  return groups
    .filter(({ exact }) => exact)
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
  let by: Value;
  if (dtype === 'float32' || dtype === 'float64') {
    const zero = g.constant('zero', floatTensor(dtype, [], Float64Array.of(0)));
    by = g.op('Where', [g.constant('keep', Tensor.of('bool', dims, keep)), value, zero]);
  } else if (dtype === 'float16') {
    by = g.op('Mul', [
      value,
      g.constant('keep', floatTensor(dtype, dims, Float64Array.from(keep))),
    ]);
  } else {
    // Integers stand for zero by the zero point, input 2 of all that sum over them.
    const point = node.inputs[2];
    const zero = (point && constantData(point)?.numbers()[0]) ?? 0;
    const bits = g.constant('keep', Tensor.of('bool', dims, keep));
    by = g.op('Where', [bits, value, g.constant('zero', Tensor.of(dtype, [], [zero]))]);
  }
  originals.set(by, originals.get(value) ?? value);
  node.setInput(input, by);
}

/** Cuts a copy and compares; returns the copy. */
export async function expectExact(
  model: Model,
  feeds: Feeds,
  choices: readonly Choice[],
  tolerance = { rtol: 1e-3, atol: 1e-4 },
): Promise<Model> {
  const pruned = model.clone();
  cutUnits(pruned, moved(choices, findGroups(pruned)));
  expect(checkModel(pruned)).toEqual([]);
  const reference = masked(model, choices);
  const [expected, actual] = [await run(reference, feeds), await run(pruned, feeds)];
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    expect([name, other?.shape]).toEqual([name, tensor.shape]);
    if (!other) continue;
    const found = compareTensors(tensor, other, tolerance);
    if (!found.equal) throw new Error(`output "${name}" differs: ${JSON.stringify(found)}`);
  }
  inferTypes(pruned);
  return pruned;
}

/** Elements of all initializers. */
export function elementCount(model: Model): number {
  let count = 0;
  for (const value of model.graph.initializers) count += value.data?.size ?? 0;
  return count;
}
