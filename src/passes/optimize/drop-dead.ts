// What nothing reads: nodes, initializers, declared types, functions.

import {
  allGraphs,
  type Graph,
  graphsOf,
  type Model,
  type Node,
  type Value,
} from '../../graph/index.ts';
import type { Pass } from '../pass.ts';

const pass: Pass = {
  name: 'drop-dead',
  summary: 'Removes nodes, initializers and functions that nothing reads',
  level: 'basic',
  run(model) {
    let changed = false;
    for (const root of [model.graph, ...model.functions.map((f) => f.graph)]) {
      // Results of a body may be values of the graphs around it: those are no uses by nodes.
      const results = new Set([...graphsOf(root)].flatMap((graph) => graph.outputs));
      for (const graph of [...graphsOf(root)].reverse()) {
        changed = dropNodes(graph, results) || changed;
      }
      for (const graph of graphsOf(root)) changed = dropValues(graph, results) || changed;
    }
    return dropFunctions(model) || changed;
  },
};

export default pass;

function dropNodes(graph: Graph, results: ReadonlySet<Value>): boolean {
  const isDead = (node: Node) =>
    node.outputs.every((output) => output.uses.length === 0 && !results.has(output));
  const before = graph.nodeCount;
  // Backwards, so that a dead chain goes in one sweep of a sorted graph.
  for (const node of [...graph.nodes].reverse()) if (isDead(node)) graph.remove(node);
  return graph.nodeCount < before;
}

function dropValues(graph: Graph, results: ReadonlySet<Value>): boolean {
  let changed = false;
  for (const value of [...graph.initializers, ...graph.sparse]) {
    if (value.uses.length > 0 || results.has(value) || graph.inputs.includes(value)) continue;
    graph.sparse.delete(value);
    graph.initializers.delete(value);
    graph.declared.delete(value);
    changed = true;
  }
  for (const value of graph.declared) {
    const known = value.producer ?? value.data ?? graph.inputs.includes(value);
    if (!known && value.uses.length === 0) graph.declared.delete(value);
  }
  return changed;
}

function dropFunctions(model: Model): boolean {
  const called = new Set<string>();
  for (const graph of allGraphs(model)) {
    for (const node of graph.nodes) called.add(`${node.domain}:${node.op}`);
  }
  const kept = model.functions.filter((f) => called.has(`${f.domain}:${f.name}`));
  if (kept.length === model.functions.length) return false;
  model.functions = kept;
  return true;
}
