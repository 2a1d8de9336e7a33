// What nobody reads.

import type { Graph } from './graph.ts';
import type { Value } from './value.ts';

/** Takes out nodes and initializers, of the graph itself, that no output depends on. */
export function dropUnread(graph: Graph): void {
  const isRead = (value: Value) => value.uses.length > 0 || graph.outputs.includes(value);
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some(isRead)) graph.remove(node);
  }
  for (const value of [...graph.initializers]) {
    if (!isRead(value)) graph.removeInitializer(value);
  }
}
