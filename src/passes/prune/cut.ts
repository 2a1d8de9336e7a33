// The surgery: takes units out of a model. Every weight keeps the other positions along its axes, read
// from the old weight when somebody needs it; operators set anew what says sizes; types follow.

import assert from 'node:assert/strict';
import {
  attr,
  graphsOf,
  type Model,
  type Node,
  sameDim,
  type Type,
  tensorType,
  type Value,
} from '../../graph/index.ts';
import {
  constantData,
  contextOf,
  inferTypes,
  lookup,
  ResizeContext,
  sizeWith,
} from '../../ops/index.ts';
import { selectTensor } from '../../tensor/gather.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Group } from './group.ts';
import { Targets } from './pin.ts';

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
 * where shapes cannot follow: try on a copy (see `cutCopy`).
 */
export function cutUnits(model: Model, choices: readonly Choice[]): void {
  const before = inferTypes(model).length;
  const cuts = keptOf(choices);
  const targets = new Targets(model);
  resizeNodes(model, cuts);
  for (const [value, axes] of cuts) {
    const data = value.data ?? constantData(value);
    if (data) setData(value, selectTensor(data, axes));
    else shrink(value, axes);
  }
  const expected = typesOf(model);
  let problems = inferTypes(model);
  while (targets.pin(expected)) {
    for (const [value, type] of expected) Object.assign(value, { type, known: undefined });
    problems = inferTypes(model);
  }
  check(cuts, expected);
  const problem = problems[before];
  if (problem) throw new CutFailure(`${problem.where}: ${problem.message}`);
}

/** The types of all computed values as they should be. */
function typesOf(model: Model): Map<Value, Type | undefined> {
  const types = new Map<Value, Type | undefined>();
  for (const graph of graphsOf(model.graph)) {
    for (const node of graph.nodes) {
      for (const value of node.outputs) if (!constantData(value)) types.set(value, value.type);
    }
  }
  return types;
}

/** What stays, by value and axis. */
function keptOf(choices: readonly Choice[]): Cuts {
  const gone = new Map<Value, Map<number, Uint8Array>>();
  for (const { group, units } of choices) {
    if (units.length === 0) continue;
    for (const { value, axis, size, positions } of [...group.weights, ...group.values]) {
      const axes = gone.get(value) ?? new Map<number, Uint8Array>();
      gone.set(value, axes);
      const flags = axes.get(axis) ?? new Uint8Array(size);
      axes.set(axis, flags);
      for (const unit of units) for (const i of positions[unit] ?? []) flags[i] = 1;
    }
  }
  const cuts: Cuts = new Map();
  for (const [value, axes] of gone) {
    const kept = new Map<number, readonly number[]>();
    for (const [axis, flags] of axes) kept.set(axis, unset(flags));
    cuts.set(value, kept);
    for (const [axis, { length }] of kept)
      assert(length > 0, `nothing would be left of axis ${axis} of "${value.name}"`);
  }
  return cuts;
}

function unset(flags: Uint8Array): number[] {
  const found: number[] = [];
  flags.forEach((flag, i) => {
    if (flag === 0) found.push(i);
  });
  return found;
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
  const shape = value.shape?.map((dim, axis) => {
    const kept = axes.get(axis);
    return kept ? sizeWith(dim, kept.length) : dim;
  });
  value.type = tensorType(value.dtype, shape);
  value.known = undefined;
}

function check(cuts: Cuts, expected: ReadonlyMap<Value, Type | undefined>): void {
  for (const [value, axes] of cuts) {
    const type = expected.get(value);
    const shape = type?.kind === 'tensor' ? type.shape : undefined;
    for (const axis of axes.keys()) {
      const [found, wanted] = [value.shape?.[axis], shape?.[axis]];
      if (wanted === undefined || (found !== undefined && sameDim(found, wanted))) continue;
      throw new CutFailure(
        `"${value.name}" should have ${wanted} positions along axis ${axis}, but has ${found}`,
        value,
      );
    }
  }
}
