// Puts the nodes of a body (a branch of If, a function) where the node that stood for it was.

import { type Graph, graphsOf, Node, Value } from '../graph/index.ts';

/**
 * Moves nodes and initializers of `body` before `holder`, makes their names unique, hands the results
 * to the readers of `holder`, and removes it. The body is empty afterwards.
 */
export function moveBody(body: Graph, holder: Node, target: Graph): void {
  const taken = namesAround(body, target);
  const rename = (value: Value | Node) => {
    if (value.name && taken.has(value.name)) value.name = target.fresh(value.name);
    if (value.name) taken.add(value.name);
  };
  for (const value of body.initializers) {
    rename(value);
    target.initializers.add(value);
  }
  body.initializers.clear();
  const declared = [...body.declared];
  for (const node of body.takeAll()) {
    rename(node);
    for (const output of node.outputs) rename(output);
    for (const inner of node.subgraphs()) renameInside(inner, rename);
    target.insertBefore(holder, node);
  }
  for (const value of declared) if (value.producer?.graph === target) target.declared.add(value);
  handOver(body, holder, target);
  target.remove(holder);
}

/** Values of inner graphs must not hide those they now stand among. */
function renameInside(graph: Graph, rename: (value: Value | Node) => void): void {
  for (const inner of graphsOf(graph)) {
    for (const value of inner.inputs) rename(value);
    for (const value of inner.initializers) if (!inner.inputs.includes(value)) rename(value);
    for (const node of inner.nodes) for (const output of node.outputs) rename(output);
  }
}

function namesAround(body: Graph, target: Graph): Set<string> {
  const names = new Set<string>();
  const own = new Set(graphsOf(body));
  for (const graph of graphsOf(target.root)) {
    if (own.has(graph)) continue;
    for (const value of [...graph.inputs, ...graph.initializers, ...graph.sparse])
      names.add(value.name);
    for (const node of graph.nodes) {
      names.add(node.name);
      for (const output of node.outputs) names.add(output.name);
    }
  }
  return names;
}

/** A result that cannot take the name of a graph output gets an Identity between. */
function handOver(body: Graph, holder: Node, target: Graph): void {
  holder.outputs.forEach((output, i) => {
    const result = body.outputs[i];
    if (!result || !output.name) return;
    if (target.canReplace(output, result)) {
      target.replace(output, result);
      return;
    }
    const copy = new Value(target.fresh(`${output.name}_copy`), output.type);
    const identity = new Node({ op: 'Identity', inputs: [result], outputs: [copy] });
    target.insertBefore(holder, identity);
    target.replace(output, copy);
  });
}
