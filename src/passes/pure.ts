// Which nodes give the same results whenever they run on the same inputs: only those may be computed
// beforehand, or once for several.

import type { Model, Node } from '../graph/index.ts';
import { lookup } from '../ops/index.ts';

/** False for operators that nothing is known about. */
export function isPure(model: Model, node: Node): boolean {
  return every(model, node, (n) => {
    const spec = lookup(n);
    return spec !== undefined && spec.pure !== false;
  });
}

/** Whether a node is known to draw random numbers or to have a state, or holds one that does. */
export function isRandom(model: Model, node: Node): boolean {
  return !every(model, node, (n) => lookup(n)?.pure !== false);
}

/** Whether all operators that a node stands for pass: its own, those of its bodies and functions. */
function every(model: Model, node: Node, test: (node: Node) => boolean): boolean {
  const called = model.functionOf(node.op, node.domain);
  if (!called && !test(node)) return false;
  const bodies = called ? [called.graph] : node.subgraphs();
  return bodies.every((graph) => [...graph.nodes].every((inner) => every(model, inner, test)));
}
