// An If whose condition never changes is its branch.

import { type Graph, type Node, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { isFunctionBody, rewrite } from '../pass.ts';

export default rewrite({
  name: 'inline-if',
  summary: 'Replaces an If with a constant condition by the branch it takes',
  on: 'If',
  apply(node, { model, graph }) {
    const [condition] = node.inputs;
    const data = condition && constantData(condition);
    const branch = data && node.subgraph(data.numbers()[0] ? 'then_branch' : 'else_branch');
    if (!branch || isFunctionBody(model, graph)) return undefined;
    const results = branch.outputs;
    if (new Set(results).size !== results.length) return undefined;
    const own = new Set([...branch.nodes]);
    const movable = node.outputs.every((output, i) => {
      const result = results[i];
      const local = result?.producer && own.has(result.producer);
      return result && (local || !graph.outputs.includes(output));
    });
    if (!movable) return undefined;
    moveUp(branch, node, graph);
    node.outputs.forEach((output, i) => {
      const result = results[i];
      if (result instanceof Value && output.name) graph.replace(output, result);
    });
    graph.remove(node);
    return true;
  },
});

/** Moves nodes and initializers before the node that held them; names are made unique again. */
function moveUp(branch: Graph, holder: Node, target: Graph): void {
  for (const value of branch.initializers) {
    value.name = target.fresh(value.name);
    target.initializers.add(value);
  }
  branch.initializers.clear();
  for (const node of branch.takeAll()) {
    for (const output of node.outputs) if (output.name) output.name = target.fresh(output.name);
    target.insertBefore(holder, node);
  }
}
