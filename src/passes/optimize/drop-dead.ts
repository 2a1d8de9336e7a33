// What nothing reads: nodes, optional results, initializers, declared types, functions. Operators
// that nothing is known about stay: they may do more than compute.

import {
  allGraphs,
  type Graph,
  graphsOf,
  type Model,
  type Node,
  type Value,
} from '../../graph/index.ts';
import { lookup } from '../../ops/index.ts';
import { mayEdit, type Pass, type PassContext } from '../pass.ts';

/** Results that a node may leave out, by position; the runtime does not compute them then. */
const OPTIONAL: Readonly<Record<string, readonly number[]>> = {
  ':BatchNormalization': [1, 2, 3, 4],
  ':Dropout': [1],
  ':GRU': [0, 1],
  ':LSTM': [0, 1, 2],
  ':LayerNormalization': [1, 2],
  ':MaxPool': [1],
  ':RNN': [0, 1],
  ':Unique': [1, 2, 3],
};

const pass: Pass = {
  name: 'drop-dead',
  summary: 'Removes nodes, optional results, initializers and functions that nothing reads',
  level: 'basic',
  run(model, context) {
    let changed = false;
    for (const root of [model.graph, ...model.functions.map((f) => f.graph)]) {
      // Results of a body may be values of the graphs around it: those are no uses by nodes.
      const results = new Set([...graphsOf(root)].flatMap((graph) => graph.outputs));
      const isRead = (value: Value) => value.uses.length > 0 || results.has(value);
      for (const graph of [...graphsOf(root)].reverse()) {
        changed = dropNodes(model, graph, isRead, context) || changed;
      }
      for (const graph of graphsOf(root)) changed = dropValues(graph, isRead) || changed;
    }
    return dropFunctions(model) || changed;
  },
};

export default pass;

function dropNodes(
  model: Model,
  graph: Graph,
  isRead: (value: Value) => boolean,
  context: PassContext,
): boolean {
  let changed = false;
  // Backwards, so that a dead chain goes in one sweep of a sorted graph.
  for (const node of [...graph.nodes].reverse()) {
    const isDead = !node.outputs.some(isRead);
    if (isDead && (lookup(node) || model.functionOf(node.op, node.domain))) {
      if (!mayEdit(context, node)) return changed;
      graph.remove(node);
      changed = true;
    } else if (!isDead) changed = dropResults(graph, node, isRead) || changed;
  }
  return changed;
}

function dropResults(graph: Graph, node: Node, isRead: (value: Value) => boolean): boolean {
  let changed = false;
  if (node.int('training_mode', 0) !== 0) return false;
  for (const index of OPTIONAL[`${node.domain}:${node.op}`] ?? []) {
    const value = node.outputs[index];
    if (!value?.name || isRead(value)) continue;
    value.name = '';
    graph.declared.delete(value);
    changed = true;
  }
  return changed;
}

function dropValues(graph: Graph, isRead: (value: Value) => boolean): boolean {
  let changed = false;
  const inputs = new Set(graph.inputs);
  for (const value of [...graph.initializers, ...graph.sparse]) {
    if (isRead(value) || inputs.has(value)) continue;
    graph.sparse.delete(value);
    graph.initializers.delete(value);
    graph.declared.delete(value);
    changed = true;
  }
  for (const value of graph.declared) {
    const isMade = value.producer?.graph !== undefined || value.data || inputs.has(value);
    if (isMade || isRead(value)) continue;
    graph.declared.delete(value);
    changed = true;
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
