// Initializers of equal type, shape and bytes are stored once, whatever graph they stand in.

import { type Graph, graphsOf, type Value } from '../../graph/index.ts';
import { groupEqual } from '../../tensor/hash.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { mayEdit, type Pass, type PassContext } from '../pass.ts';

interface Place {
  readonly graph: Graph;
  readonly value: Value;
  readonly data: Tensor;
}

const pass: Pass = {
  name: 'merge-duplicates',
  summary: 'Stores initializers of equal content once, across subgraphs',
  level: 'basic',
  async run(model, context) {
    let changed = false;
    const places = constantsOf(model.graph);
    for (const group of await groupEqual(places, ({ data }) => data)) {
      changed = merge(model.graph, group, context) || changed;
    }
    return changed;
  },
};

export default pass;

function constantsOf(root: Graph): Place[] {
  return [...graphsOf(root)].flatMap((graph) =>
    [...graph.initializers].flatMap((value) =>
      value.data && !root.inputs.includes(value) ? [{ graph, value, data: value.data }] : [],
    ),
  );
}

/** The first one of the main graph stays; copies that only bodies have move up to it. */
function merge(root: Graph, group: readonly Place[], context: PassContext): boolean {
  const free = group.filter(({ graph, value }) => !graph.outputs.includes(value));
  const [first] = free;
  if (free.length < 2 || !first || !mayEdit(context, first.value.uses[0]?.node)) return false;
  // A name that a body uses anew would be hidden there.
  const kept =
    free.find(({ graph, value }) => graph === root && isUnique(root, value))?.value ??
    root.addInitializer(first.value.name, first.data);
  for (const { graph, value } of free) {
    if (value === kept) continue;
    graph.replace(value, kept);
    graph.removeInitializer(value);
  }
  return true;
}

function isUnique(root: Graph, value: Value): boolean {
  for (const graph of graphsOf(root)) {
    if (graph === root) continue;
    const hides = (other: Value) => other !== value && other.name === value.name;
    if ([...graph.inputs, ...graph.initializers].some(hides)) return false;
    for (const node of graph.nodes) if (node.outputs.some(hides)) return false;
  }
  return true;
}
