// Nodes stand after what they read: the format demands it, some exporters do not care.

import { allGraphs, isSorted, topologicalOrder } from '../../graph/index.ts';
import type { Pass } from '../pass.ts';

const pass: Pass = {
  name: 'sort-nodes',
  summary: 'Puts nodes behind the nodes they read from',
  level: 'basic',
  run(model) {
    let changed = false;
    for (const graph of allGraphs(model)) {
      if (isSorted(graph)) continue;
      const order = topologicalOrder(graph);
      if (order.length !== graph.nodeCount) continue;
      graph.reorder(order);
      changed = true;
    }
    return changed;
  },
};

export default pass;
