// Bodies of functions cannot hold initializers (ONNX FunctionProto has no field for them): constants
// that a rewrite made there become Constant nodes.

import { attr, type Graph, Node, Value } from '../graph/index.ts';

export function constantsToNodes(graph: Graph): void {
  const [first] = graph.nodes;
  for (const value of [...graph.initializers]) {
    if (!value.data || !first) continue;
    const output = new Value(graph.fresh(`${value.name}_constant`), value.type);
    const node = new Node({
      op: 'Constant',
      name: graph.fresh('Constant'),
      inputs: [],
      outputs: [output],
      attrs: new Map([['value', attr.tensor(value.data)]]),
    });
    graph.insertBefore(first, node);
    graph.replace(value, output);
    graph.removeInitializer(value);
  }
}
