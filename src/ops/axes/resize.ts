// What an operator may ask when axes around it have been cut, and how it sets numbers that say sizes:
// attributes, or inputs that hold small constants. Types are still those from before the cut.

import { attr, Builder, type Dim, type Graph, type Node, type Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { InferContext } from '../context.ts';
import { constantData } from '../context.ts';
import { sizeWith } from './link.ts';

/** A number instead of an element, or the share [6, 12] of it that is left. */
export type Override = number | readonly [number, number];

/** The positions of an axis that stay; undefined where all do. */
export type Kept = (value: Value, axis: number) => readonly number[] | undefined;

export class ResizeContext {
  readonly c: InferContext;
  readonly #kept: Kept;

  constructor(c: InferContext, kept: Kept) {
    this.c = c;
    this.#kept = kept;
  }

  get node(): Node {
    return this.c.node;
  }

  keptIn(index: number, axis: number): readonly number[] | undefined {
    return kept(this.#kept, this.node.inputs[index], axis);
  }

  keptOut(index: number, axis: number): readonly number[] | undefined {
    return kept(this.#kept, this.node.outputs[index], axis);
  }

  /** The size after the cut; undefined where it is no number. */
  sizeIn(index: number, axis: number): number | undefined {
    return size(this.node.inputs[index], axis, this.keptIn(index, axis));
  }

  sizeOut(index: number, axis: number): number | undefined {
    return size(this.node.outputs[index], axis, this.keptOut(index, axis));
  }

  /** The size after the cut, as it may be symbolic. */
  dimOut(index: number, axis: number): Dim | undefined {
    const dim = this.node.outputs[index]?.shape?.at(axis);
    const left = this.keptOut(index, axis);
    return left && dim !== undefined ? sizeWith(dim, left.length) : dim;
  }

  setInts(name: string, values: readonly number[]): void {
    this.node.setAttr(name, attr.ints(values));
  }

  setInt(name: string, value: number): void {
    this.node.setAttr(name, attr.int(value));
  }

  /** Replaces some of the elements that input `index` has at run time. */
  overrideInput(index: number, old: Value, sizes: readonly (Override | undefined)[]): void {
    const { graph } = this.node;
    if (graph) this.node.setInput(index, overridden(graph, this.node, old, sizes));
  }

  /** Makes input `index` a constant of these numbers, in the type it had. */
  setInput(index: number, values: readonly number[]): void {
    const old = this.node.inputs[index];
    const { graph } = this.node;
    if (!graph) return;
    const dtype = old?.dtype === 'int32' ? 'int32' : 'int64';
    const isScalar = (old && constantData(old)?.shape.length) === 0;
    const data = Tensor.of(dtype, isScalar ? [] : [values.length], values);
    const hint = `${old?.name ?? this.node.name}_cut`;
    this.node.setInput(index, graph.addInitializer(hint, data));
    dropUnused(old, graph);
  }
}

/** Every element that is not said here is that of the old target. */
function overridden(
  graph: Graph,
  node: Node,
  old: Value,
  sizes: readonly (Override | undefined)[],
): Value {
  const g = new Builder(graph, node);
  const vector = (hint: string, of: (size: Override | undefined) => number) =>
    g.constant(`${old.name}_${hint}`, Tensor.int64(sizes.map(of)));
  const isShare = (size: Override | undefined) => typeof size === 'object';
  let result = old;
  if (sizes.some(isShare)) {
    const [by, of] = [0, 1].map((i) =>
      vector('share', (size) => (typeof size === 'object' ? (size[i] as number) : 1)),
    );
    result = g.op('Div', [g.op('Mul', [result, by]), of]);
  }
  if (!sizes.some((size) => typeof size === 'number')) return result;
  const kept = g.op('Mul', [result, vector('keep', (size) => (typeof size === 'number' ? 0 : 1))]);
  return g.op('Add', [kept, vector('cut', (size) => (typeof size === 'number' ? size : 0))]);
}

function dropUnused(value: Value | undefined, graph: Graph): void {
  if (!value || value.uses.length > 0 || !graph.initializers.has(value)) return;
  if (graph.inputs.includes(value) || graph.outputs.includes(value)) return;
  graph.removeInitializer(value);
}

function kept(ask: Kept, value: Value | undefined, axis: number): readonly number[] | undefined {
  const rank = value?.shape?.length;
  if (!value || rank === undefined) return undefined;
  return ask(value, axis < 0 ? axis + rank : axis);
}

function size(
  value: Value | undefined,
  axis: number,
  left: readonly number[] | undefined,
): number | undefined {
  const dim = value?.shape?.at(axis);
  return typeof dim === 'number' ? (left?.length ?? dim) : undefined;
}
