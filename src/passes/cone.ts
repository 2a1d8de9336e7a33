// A model of just the nodes that some values depend on: what is run to compute constants.

import { type Attr, capturesOf, cloneGraph, Graph, Model, Node, Value } from '../graph/index.ts';
import { opsetsAt } from './pass.ts';

/** `wanted` are values of `graph` that depend on constants only. */
export function coneOf(model: Model, graph: Graph, wanted: readonly Value[]): Model {
  const cone = new Cone();
  const copy = new Model(cone.graph, opsetsAt(model, graph), Math.max(model.irVersion, 4));
  cone.graph.outputs = wanted.map((value) => cone.copy(value));
  copy.functions = model.functions;
  return copy;
}

class Cone {
  readonly graph = new Graph('constants');
  readonly #twins = new Map<Value, Value>();

  copy(value: Value): Value {
    const known = this.#twins.get(value);
    if (known) return known;
    if (value.producer && !value.data) this.#copyNode(value.producer);
    const made = this.#twins.get(value);
    if (made) return made;
    // Names are unique here even where several scopes come together.
    const twin = new Value(this.graph.fresh(value.name), value.type, value.data);
    this.#twins.set(value, twin);
    if (value.data) this.graph.initializers.add(twin);
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
