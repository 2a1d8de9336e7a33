// Constant nodes become initializers: one form for what never changes, which tools, mergers and
// memory mapping understand. Function bodies cannot hold initializers, so theirs stay.

import { graphsOf } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import type { Pass } from '../pass.ts';

const pass: Pass = {
  name: 'extract-constants',
  summary: 'Makes initializers of Constant nodes',
  level: 'basic',
  run(model) {
    let changed = false;
    for (const graph of graphsOf(model.graph)) {
      for (const node of graph.nodes) {
        if (node.op !== 'Constant' || node.domain !== '') continue;
        const data = constantData(node.output);
        if (!data || graph.outputs.includes(node.output)) continue;
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
