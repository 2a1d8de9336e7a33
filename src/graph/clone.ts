// Copies of graphs that share their tensors.

import type { Attr } from './attr.ts';
import { Graph } from './graph.ts';
import { Node } from './node.ts';
import { Value } from './value.ts';

/** A copy to edit. Values captured from graphs around it stay captured, unless `map` knows them. */
export function cloneGraph(graph: Graph, map = new Map<Value, Value>()): Graph {
  const copy = new Graph(graph.name);
  copy.origin = graph.origin;
  const cloneValue = (value: Value): Value => {
    const known = map.get(value);
    if (known) return known;
    const twin = new Value(value.name, value.type, value.data);
    twin.known = value.known;
    twin.origin = value.origin;
    map.set(value, twin);
    return twin;
  };
  for (const value of graph.inputs) copy.inputs.push(cloneValue(value));
  for (const value of graph.initializers) copy.initializers.add(cloneValue(value));
  for (const value of graph.sparse) copy.sparse.add(cloneValue(value));
  // Outputs first: a node may stand before the producer of what it reads, in a broken model.
  for (const node of graph.nodes) for (const output of node.outputs) cloneValue(output);
  for (const node of graph.nodes) {
    copy.append(
      new Node({
        op: node.op,
        domain: node.domain,
        name: node.name,
        inputs: node.inputs.map((value) => value && (map.get(value) ?? value)),
        outputs: node.outputs.map(cloneValue),
        attrs: new Map([...node.attrs].map(([name, a]) => [name, cloneAttr(a, map)])),
        origin: node.origin,
      }),
    );
  }
  copy.outputs = graph.outputs.map((value) => map.get(value) ?? value);
  for (const value of graph.declared) copy.declared.add(cloneValue(value));
  return copy;
}

function cloneAttr(attr: Attr, map: Map<Value, Value>): Attr {
  if (attr.type === 'graph') return { ...attr, value: cloneGraph(attr.value, map) };
  if (attr.type === 'graphs') return { ...attr, value: attr.value.map((g) => cloneGraph(g, map)) };
  return attr;
}
