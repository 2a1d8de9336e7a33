// Constant nodes become initializers: one form for what never changes, which tools, mergers and
// memory mapping understand. Function bodies cannot hold initializers, so theirs stay.

import { graphsOf, type Node } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { mayEdit, type Pass } from '../pass.ts';

const pass: Pass = {
  name: 'extract-constants',
  summary: 'Makes initializers of Constant nodes',
  level: 'basic',
  run(model, context) {
    let changed = false;
    for (const graph of graphsOf(model.graph)) {
      for (const node of graph.nodes) {
        if (node.op !== 'Constant' || node.domain !== '') continue;
        const data = constantData(node.output) ?? stringsOf(node);
        if (!data || graph.outputs.includes(node.output) || !mayEdit(context, node)) continue;
        const { name } = node.output;
        const value = graph.addInitializer(name, data);
        graph.replace(node.output, value);
        graph.remove(node);
        // The name is free now: inner values stay comparable by name.
        value.name = name;
        changed = true;
      }
    }
    return changed;
  },
};

export default pass;

function stringsOf(node: Node): Tensor | undefined {
  const { value } = node.attrs.get('value_string') ?? node.attrs.get('value_strings') ?? {};
  if (value instanceof Uint8Array) return Tensor.strings([], [value]);
  if (!Array.isArray(value)) return undefined;
  return Tensor.strings([value.length], value as Uint8Array[]);
}
