// A graph: inputs, outputs, initializers and a linked list of nodes that may be edited while it is
// walked. Subgraphs refer to values of the graphs around them directly.

import assert from 'node:assert/strict';
import type { Tensor } from '../tensor/tensor.ts';
import type { Node } from './node.ts';
import { tensorType } from './type.ts';
import { Value } from './value.ts';

export class Graph {
  name: string;
  inputs: Value[] = [];
  outputs: Value[] = [];
  /** Values with `data`, in file order. */
  readonly initializers = new Set<Value>();
  /** Sparse initializers: constants whose content only `onnx/` knows. */
  readonly sparse = new Set<Value>();
  /** Values the file declares a type for beside inputs and outputs, in file order. */
  readonly declared = new Set<Value>();
  /** What the file format has to keep beside these; owned by `onnx/`. */
  origin: unknown;
  /** The node whose attribute this graph is; undefined for a main graph or a function body. */
  parent: Node | undefined;

  #first: Node | undefined;
  #last: Node | undefined;
  #size = 0;
  #names: Set<string> | undefined;
  /** The number that each hint was last given. */
  readonly #counts = new Map<string, number>();

  constructor(name = '') {
    this.name = name;
  }

  /** Nodes in order. Removing the current node or inserting around it is safe. */
  get nodes(): Iterable<Node> {
    return this.#walk();
  }

  get nodeCount(): number {
    return this.#size;
  }

  *#walk(): Generator<Node> {
    for (let node = this.#first; node; ) {
      // A removed node keeps its `next`, so the walk survives its removal.
      yield node;
      node = node.place.next;
      while (node && node.place.graph !== this) node = node.place.next;
    }
  }

  append(node: Node): void {
    this.#link(node, this.#last, undefined);
  }

  insertBefore(at: Node, ...nodes: Node[]): void {
    assert.equal(at.graph, this, `${at.describe()} is not in graph "${this.name}"`);
    for (const node of nodes) this.#link(node, at.place.previous, at);
  }

  #link(node: Node, previous: Node | undefined, next: Node | undefined): void {
    assert(!node.graph, `${node.describe()} is in a graph already`);
    Object.assign(node.place, { graph: this, previous, next });
    if (previous) previous.place.next = node;
    else this.#first = node;
    if (next) next.place.previous = node;
    else this.#last = node;
    this.#size += 1;
    for (const inner of node.subgraphs()) inner.parent = node;
    const names = this.root.#names;
    if (names) collectNodeNames(node, names);
  }

  #unlink(node: Node): void {
    const { previous, next } = node.place;
    if (previous) previous.place.next = next;
    else this.#first = next;
    if (next) next.place.previous = previous;
    else this.#last = previous;
    node.place.graph = undefined;
    this.#size -= 1;
  }

  /** Removes a node; throws, before any change, if an output of it is still read. */
  remove(node: Node): void {
    assert.equal(node.graph, this, `${node.describe()} is not in graph "${this.name}"`);
    for (const output of node.outputs) {
      assert(output.uses.length === 0, `"${output.name}" of ${node.describe()} is still read`);
      assert(!this.outputs.includes(output), `"${output.name}" is a graph output`);
    }
    this.#unlink(node);
    node.disconnect();
    for (const output of node.outputs) this.declared.delete(output);
  }

  /** Hands all nodes over, to be put into another graph. */
  takeAll(): Node[] {
    const nodes = [...this.nodes];
    for (const node of nodes) this.#unlink(node);
    return nodes;
  }

  /** Puts the nodes into the given order, which must hold every node once. */
  reorder(order: readonly Node[]): void {
    assert.equal(order.length, this.#size, 'reorder needs every node');
    for (const node of order) {
      assert.equal(node.graph, this, `${node.describe()} is not in graph "${this.name}"`);
      this.#unlink(node);
      this.#link(node, this.#last, undefined);
    }
  }

  /**
   * Makes every reader of `old` read `by`, graph outputs included. A graph output keeps its name:
   * `by` takes it over, unless `by` is itself an input, initializer or output, which `canReplace`
   * tells beforehand.
   */
  replace(old: Value, by: Value): void {
    assert(this.canReplace(old, by), `"${old.name}" cannot be replaced by "${by.name}"`);
    for (const { node, index } of [...old.uses]) node.setInput(index, by);
    const at = this.outputs.indexOf(old);
    if (at < 0) return;
    this.outputs[at] = by;
    const { name } = old;
    old.name = this.fresh(`${name}_replaced`);
    by.name = name;
    by.origin = old.origin;
    this.declared.delete(by);
    // The declared type of an output is a promise to the outside: it stays where it says more.
    if (old.type?.kind === 'tensor' && old.type.shape) by.type = old.type;
  }

  /** Whether `replace(old, by)` keeps the names and the number of the graph's outputs. */
  canReplace(old: Value, by: Value): boolean {
    if (old === by) return false;
    if (!this.outputs.includes(old)) return true;
    // A second output cannot share a value, and inputs and captured values cannot be renamed.
    return by.producer?.graph === this && !this.outputs.includes(by);
  }

  /** Adds an initializer. */
  addInitializer(hint: string, data: Tensor): Value {
    const value = new Value(this.fresh(hint), undefined, data);
    this.initializers.add(value);
    this.#names?.add(value.name);
    return value;
  }

  removeInitializer(value: Value): void {
    assert(
      value.uses.length === 0 && !this.outputs.includes(value),
      `"${value.name}" is still read`,
    );
    this.initializers.delete(value);
    this.declared.delete(value);
  }

  /** Gives an initializer new data; its type follows. */
  setData(value: Value, data: Tensor): void {
    assert(this.initializers.has(value), `"${value.name}" is not an initializer of this graph`);
    value.data = data;
    value.known = undefined;
    value.type = tensorType(data.dtype, data.shape);
  }

  /** Constant: has data, and no caller can feed something else. */
  isConstant(value: Value): boolean {
    return value.data !== undefined && !this.root.inputs.includes(value);
  }

  /** The outermost graph around this one. */
  get root(): Graph {
    return this.parent?.graph?.root ?? this;
  }

  /** A name that no value of the whole model part around this graph has. */
  fresh(hint: string): string {
    const root = this.root;
    root.#names ??= collectNames(root);
    let name = hint;
    let count = root.#counts.get(hint) ?? 0;
    while (name === '' || root.#names.has(name)) {
      count += 1;
      name = `${hint}_${count}`;
    }
    root.#counts.set(hint, count);
    root.#names.add(name);
    return name;
  }

  /** Releases every use that nodes of this graph hold; part of removing its parent. */
  disconnect(): void {
    for (const node of this.nodes) node.disconnect();
  }
}

function collectNames(graph: Graph, names = new Set<string>()): Set<string> {
  for (const value of [...graph.inputs, ...graph.initializers, ...graph.sparse])
    names.add(value.name);
  for (const node of graph.nodes) collectNodeNames(node, names);
  return names;
}

function collectNodeNames(node: Node, names: Set<string>): void {
  names.add(node.name);
  for (const output of node.outputs) names.add(output.name);
  for (const inner of node.subgraphs()) collectNames(inner, names);
}
