// The surgery: takes units out of a model. Every weight keeps the other positions along its axes, read
// from the old weight when somebody needs it; operators set anew what says sizes; types follow.

import assert from 'node:assert/strict';
import {
  attr,
  graphsOf,
  type Model,
  type Node,
  tensorType,
  type Value,
} from '../../graph/index.ts';
import { constantData, contextOf, inferTypes, lookup, ResizeContext } from '../../ops/index.ts';
import { selectTensor } from '../../tensor/gather.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Group, Member } from './group.ts';

/** The units of a group that go. */
export interface Choice {
  readonly group: Group;
  readonly units: readonly number[];
}

/** A value whose size after the cut is not what the cut makes of it: its shape is calculated. */
export class CutFailure extends Error {
  readonly value: Value | undefined;

  constructor(message: string, value?: Value) {
    super(message);
    this.value = value;
  }
}

type Cuts = Map<Value, Map<number, readonly number[]>>;

/**
 * Cuts in place. Groups must be those of this very model. Throws CutFailure, with the model half cut,
 * where shapes cannot follow: try on a clone (see `tryCut`).
 */
export function cutUnits(model: Model, choices: readonly Choice[]): void {
  const before = inferTypes(model).length;
  const cuts = keptOf(choices);
  resizeNodes(model, cuts);
  for (const [value, axes] of cuts) {
    const data = value.data ?? constantData(value);
    if (data) setData(value, selectTensor(data, axes));
    else shrink(value, axes);
  }
  const problems = inferTypes(model);
  check(cuts);
  const problem = problems[before];
  if (problem) throw new CutFailure(`${problem.where}: ${problem.message}`);
}

/** What stays, by value and axis. */
function keptOf(choices: readonly Choice[]): Cuts {
  const gone = new Map<Value, Map<number, { size: number; positions: Set<number> }>>();
  const take = ({ value, axis, size, positions }: Member, units: readonly number[]) => {
    const axes = gone.get(value) ?? new Map();
    gone.set(value, axes);
    const entry = axes.get(axis) ?? { size, positions: new Set<number>() };
    axes.set(axis, entry);
    for (const unit of units) for (const i of positions[unit] ?? []) entry.positions.add(i);
  };
  for (const { group, units } of choices) {
    if (units.length === 0) continue;
    for (const member of [...group.weights, ...group.values]) take(member, units);
  }
  const cuts: Cuts = new Map();
  for (const [value, axes] of gone) {
    const kept = new Map<number, readonly number[]>();
    for (const [axis, { size, positions }] of axes) {
      const left = Array.from({ length: size }, (_, i) => i).filter((i) => !positions.has(i));
      assert(left.length > 0, `nothing would be left of axis ${axis} of "${value.name}"`);
      kept.set(axis, left);
    }
    cuts.set(value, kept);
  }
  return cuts;
}

function resizeNodes(model: Model, cuts: Cuts): void {
  const kept = (value: Value, axis: number) => cuts.get(value)?.get(axis);
  const isTouched = (node: Node) =>
    [...node.inputs, ...node.outputs].some((value) => value && cuts.has(value));
  for (const graph of graphsOf(model.graph)) {
    for (const node of [...graph.nodes]) {
      const spec = lookup(node);
      if (!spec?.resize || !isTouched(node)) continue;
      spec.resize(new ResizeContext(contextOf(model, node), kept));
    }
  }
}

function setData(value: Value, data: Tensor): void {
  value.known = undefined;
  value.type = tensorType(data.dtype, data.shape);
  const { producer } = value;
  if (!producer) {
    value.data = data;
    return;
  }
  for (const name of producer.attrs.keys()) producer.setAttr(name, undefined);
  producer.setAttr('value', attr.tensor(data));
}

function shrink(value: Value, axes: ReadonlyMap<number, readonly number[]>): void {
  const shape = value.shape?.map((dim, axis) => axes.get(axis)?.length ?? dim);
  value.type = tensorType(value.dtype, shape);
  value.known = undefined;
}

function check(cuts: Cuts): void {
  for (const [value, axes] of cuts) {
    for (const [axis, kept] of axes) {
      const found = value.shape?.[axis];
      if (found === kept.length) continue;
      throw new CutFailure(
        `"${value.name}" should have ${kept.length} positions along axis ${axis}, but has ${found}`,
        value,
      );
    }
  }
}
