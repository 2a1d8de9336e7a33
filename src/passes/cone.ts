// A model of just the nodes that some values depend on: what is run to compute constants.

import { type Attr, capturesOf, cloneGraph, Graph, Model, Node, Value } from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { opsetsAt } from './pass.ts';

export interface ConeModel {
  readonly model: Model;
  /** Large constants are fed: a session would copy its initializers. */
  readonly feeds: Feeds;
}

/** From this size on, copies count. */
const FED_BYTES = 1 << 20;

/** `wanted` are values of `graph` that depend on constants only. */
export function coneOf(model: Model, graph: Graph, wanted: readonly Value[]): ConeModel {
  const cone = new Cone();
  const copy = new Model(cone.graph, opsetsAt(model, graph), Math.max(model.irVersion, 4));
  cone.graph.outputs = wanted.map((value) => cone.copy(value));
  copy.functions = model.functions;
  return { model: copy, feeds: cone.feeds };
}

/** Types that are fed as they are. */
const PLAIN: ReadonlySet<DType> = new Set(['float32', 'float64', 'float16', 'int64', 'int32']);

class Cone {
  readonly graph = new Graph('constants');
  readonly feeds = new Map<string, Tensor>();
  readonly #twins = new Map<Value, Value>();

  copy(value: Value): Value {
    const known = this.#twins.get(value);
    if (known) return known;
    if (value.producer && !value.data) this.#copyNode(value.producer);
    const made = this.#twins.get(value);
    if (made) return made;
    // Names are unique here even where several scopes come together.
    const { type, data } = value;
    const isFed = data !== undefined && data.byteLength >= FED_BYTES && PLAIN.has(data.dtype);
    const twin = new Value(this.graph.fresh(value.name), type, isFed ? undefined : data);
    this.#twins.set(value, twin);
    if (isFed) {
      this.graph.inputs.push(twin);
      this.feeds.set(twin.name, data);
    } else if (data) this.graph.initializers.add(twin);
    return twin;
  }

  #copyNode(node: Node): void {
    const inputs = node.inputs.map((value) => value && this.copy(value));
    for (const inner of node.subgraphs()) for (const value of capturesOf(inner)) this.copy(value);
    const outputs = node.outputs.map((value) => {
      const twin = new Value(value.name && this.graph.fresh(value.name), value.type);
      this.#twins.set(value, twin);
      return twin;
    });
    const { op, domain, name } = node;
    const attrs = new Map<string, Attr>();
    for (const [key, attr] of node.attrs) {
      const isGraph = attr.type === 'graph';
      attrs.set(
        key,
        isGraph ? { ...attr, value: cloneGraph(attr.value, new Map(this.#twins)) } : attr,
      );
    }
    this.graph.append(new Node({ op, domain, name, inputs, outputs, attrs }));
  }
}
