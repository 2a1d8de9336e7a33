// Renames everything that a graph can rename, so that nothing of it can be copied whole.

import { allGraphs, type Model, type Value } from '../../src/graph/index.ts';

export function rename(model: Model, change: (name: string) => string): void {
  const values = new Set<Value>();
  for (const graph of allGraphs(model)) {
    for (const value of [...graph.inputs, ...graph.initializers, ...graph.sparse])
      values.add(value);
    for (const value of [...graph.outputs, ...graph.declared]) values.add(value);
    for (const node of graph.nodes) {
      for (const value of [...node.inputs, ...node.outputs]) if (value) values.add(value);
    }
  }
  for (const value of values) if (value.name) value.name = change(value.name);
}
