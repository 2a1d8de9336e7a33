// Makes nodes in a graph: `g.op('Mul', [a, b])`. Serves rewrites, gradients, architectures, tests.

import { Tensor } from '../tensor/tensor.ts';
import type { Attr, AttrLike } from './attr.ts';
import type { Graph } from './graph.ts';
import { Node, toAttrs } from './node.ts';
import { Value } from './value.ts';

export type Attrs = Readonly<Record<string, AttrLike | Attr | undefined>>;

export interface OpOptions {
  readonly domain?: string;
  /** Node name; also the base of its output names. */
  readonly name?: string;
}

/** Called with each new node before the builder moves on: the place to infer types. */
export type OnNode = (node: Node) => void;

export class Builder {
  readonly graph: Graph;
  /** New nodes go before this one; undefined: to the end. */
  at: Node | undefined;
  readonly #onNode: OnNode | undefined;

  constructor(graph: Graph, at?: Node, onNode?: OnNode) {
    this.graph = graph;
    this.at = at;
    this.#onNode = onNode;
  }

  /** One node with one output. */
  op(
    op: string,
    inputs: readonly (Value | undefined)[],
    attrs: Attrs = {},
    options: OpOptions = {},
  ): Value {
    return this.ops(op, inputs, 1, attrs, options)[0] as Value;
  }

  /** One node with `count` outputs. */
  ops(
    op: string,
    inputs: readonly (Value | undefined)[],
    count: number,
    attrs: Attrs = {},
    options: OpOptions = {},
  ): Value[] {
    const base = options.name ?? this.at?.name ?? '';
    const name = options.name ?? this.graph.fresh(base ? `${base}/${op}` : op);
    const outputs = Array.from({ length: count }, (_, i) => {
      const suffix = count > 1 ? `_output_${i}` : '_output';
      return new Value(this.graph.fresh(`${name}${suffix}`));
    });
    const domain = options.domain ?? '';
    const node = new Node({ op, domain, name, inputs, outputs, attrs: toAttrs(attrs) });
    if (this.at) this.graph.insertBefore(this.at, node);
    else this.graph.append(node);
    this.#onNode?.(node);
    return outputs;
  }

  /** An initializer. */
  constant(hint: string, data: Tensor): Value {
    return this.graph.addInitializer(hint, data);
  }

  /** An initializer of integers: axes, sizes, positions. */
  ints(values: readonly number[]): Value {
    return this.constant('ints', Tensor.int64(values));
  }

  /** A graph input. */
  input(name: string, type: Value['type']): Value {
    const value = new Value(this.graph.fresh(name), type);
    this.graph.inputs.push(value);
    return value;
  }

  /** Makes a value a graph output, under the given name if it is this graph's own to rename. */
  output(value: Value, name?: string): Value {
    if (name) value.name = this.graph.fresh(name);
    this.graph.outputs.push(value);
    return value;
  }
}
