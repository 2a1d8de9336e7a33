// What it takes to lift a node by one version of its operator, and what adapters may use for it.

import {
  type Attr,
  type AttrLike,
  Builder,
  type Graph,
  graphsOf,
  type Model,
  Node,
  toAttrs,
  Value,
} from '../../graph/index.ts';
import { constantData, inferNode } from '../../ops/index.ts';
import type { DType } from '../../tensor/dtype.ts';
import { floatTensor } from '../../tensor/scale.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { dropUnused } from '../match.ts';
import type { Skip } from '../pass.ts';

/**
 * Rewrites a node, in place or by others, so that it means at the new version what it meant before.
 * True: changed. False or nothing: the node means the same. `skip(reason)`: it cannot be said there.
 */
export type Adapter = (node: Node, context: UpgradeContext) => boolean | Skip | undefined;

/** Adapters by operator and by the version they lift to. */
export type Adapters = Readonly<Record<string, Readonly<Record<number, Adapter>>>>;

export class UpgradeContext {
  readonly model: Model;
  readonly graph: Graph;
  /** The version in the end; some steps can go straight to its form. */
  readonly target: number;
  /** Makes nodes before the one in question, with types inferred. */
  readonly g: Builder;
  readonly #constants: Constants;

  constructor(model: Model, node: Node, graph: Graph, target: number, constants: Constants) {
    this.model = model;
    this.graph = graph;
    this.target = target;
    this.g = new Builder(graph, node, (made) => inferNode(model, made));
    this.#constants = constants;
  }

  /** A constant int64 list. */
  ints(...values: (number | bigint)[]): Value {
    const elements = BigInt64Array.from(values, BigInt);
    const tensor = Tensor.of('int64', [values.length], elements);
    return this.constant(`ints_${values.join('_')}`, tensor);
  }

  /** A constant int64 scalar. */
  int(value: number): Value {
    return this.constant(`int_${value}`, Tensor.scalar('int64', value));
  }

  /** A constant float scalar. */
  float(dtype: DType, value: number): Value {
    return this.floats(dtype, [], [value]);
  }

  /** Constant floats. */
  floats(dtype: DType, shape: readonly number[], values: readonly number[]): Value {
    const tensor = floatTensor(dtype, shape, Float64Array.from(values));
    return this.constant(`${dtype}_${shape}_${values}`, tensor);
  }

  /** A constant; equal keys give one value. */
  constant(key: string, tensor: Tensor): Value {
    return this.#constants.get(key, tensor);
  }

  /** `value` with further axes of size 1: a constant in its new shape, or an Unsqueeze. */
  unsqueezed(value: Value, axes: readonly number[]): Value {
    const data = value.data && constantData(value);
    if (data && value.uses.length === 1) {
      const shape = [...data.shape];
      for (const axis of axes) shape.splice(axis, 0, 1);
      return this.#constants.instead(value, data.reshape(shape));
    }
    return this.g.op('Unsqueeze', [value], { axes });
  }

  /** Puts new values in the place of a node's outputs, under their old names. */
  replace(node: Node, ...by: readonly Value[]): true {
    node.outputs.forEach((old, i) => {
      const made = by[i];
      if (!made) return;
      const isDeclared = this.graph.declared.has(old);
      made.type = old.type ?? made.type;
      this.graph.replace(old, made);
      made.origin = old.origin;
      if (isDeclared) this.graph.declared.add(made);
    });
    const names = node.outputs.map((value) => value.name);
    this.graph.remove(node);
    by.forEach((value, i) => {
      // Graph outputs have taken their name over.
      if (!this.graph.outputs.includes(value)) value.name = names[i] ?? value.name;
    });
    return true;
  }

  /** Puts another operator in the place of a node, name and all. */
  become(
    node: Node,
    op: string,
    inputs: readonly (Value | undefined)[],
    attrs: Readonly<Record<string, Attr | AttrLike | undefined>>,
    count = node.outputs.length,
  ): true {
    const outputs = Array.from(
      { length: count },
      () => new Value(this.graph.fresh(`${node.name}_${op}`)),
    );
    const { name, origin } = node;
    const made = new Node({ op, name, inputs, outputs, attrs: toAttrs(attrs), origin });
    this.graph.insertBefore(node, made);
    inferNode(this.model, made);
    return this.replace(node, ...outputs);
  }
}

/** The constants that an upgrade adds: initializers, or nodes in functions, which can have none. */
export class Constants {
  readonly #isFunction: boolean;
  readonly #root: Graph;
  readonly #made = new Map<string, Value>();
  /** What was made, and what it was made for. */
  readonly #all = new Set<Value>();

  constructor(root: Graph, isFunction: boolean) {
    this.#root = root;
    this.#isFunction = isFunction;
  }

  /** A constant for one that nobody else reads. */
  instead(old: Value, tensor: Tensor): Value {
    this.#all.add(old);
    return this.make(old.name, tensor);
  }

  get(key: string, tensor: Tensor): Value {
    const known = this.#made.get(key);
    if (known) return known;
    const value = this.make(key, tensor);
    this.#made.set(key, value);
    return value;
  }

  /** Stands in the outermost graph, where every graph below can read it. */
  make(hint: string, tensor: Tensor): Value {
    const value = this.#isFunction
      ? this.#asNode(hint, tensor)
      : this.#root.addInitializer(hint, tensor);
    this.#all.add(value);
    return value;
  }

  #asNode(hint: string, tensor: Tensor): Value {
    const [first] = this.#root.nodes;
    return new Builder(this.#root, first).op('Constant', [], { value: tensor }, { name: hint });
  }

  /** Removes what later steps have made superfluous. */
  dropUnused(): void {
    const graphs = [...graphsOf(this.#root)];
    for (const value of this.#all) {
      if (value.producer && value.uses.length === 0) this.#root.remove(value.producer);
      for (const graph of graphs) dropUnused(graph, value);
    }
  }
}
