// Initializers of equal type, shape and bytes are stored once, whatever graph they stand in. Content
// is read only where type and shape agree, in pieces, and once per tensor.

import { type Graph, graphsOf, type Value } from '../../graph/index.ts';
import { contentKey } from '../../tensor/hash.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Pass } from '../pass.ts';

/** Tensors are immutable, so a key holds for as long as the tensor lives. */
const keys = new WeakMap<Tensor, Promise<string>>();

function keyOf(tensor: Tensor): Promise<string> {
  const known = keys.get(tensor) ?? contentKey(tensor);
  keys.set(tensor, known);
  return known;
}

interface Place {
  readonly graph: Graph;
  readonly value: Value;
  readonly data: Tensor;
}

const pass: Pass = {
  name: 'merge-duplicates',
  summary: 'Stores initializers of equal content once, across subgraphs',
  level: 'basic',
  async run(model) {
    let changed = false;
    for (const places of (await alike(model.graph)).values()) {
      for (const group of (await equal(places)).values()) {
        changed = merge(model.graph, group) || changed;
      }
    }
    return changed;
  },
};

export default pass;

/** Constant initializers by type and shape; groups of one have nothing to merge. */
async function alike(root: Graph): Promise<Map<string, Place[]>> {
  const groups = new Map<string, Place[]>();
  for (const graph of graphsOf(root)) {
    for (const value of graph.initializers) {
      const { data } = value;
      if (!data || data.isDerived || root.inputs.includes(value)) continue;
      const key = `${data.dtype} ${data.shape.join('x')}`;
      groups.set(key, [...(groups.get(key) ?? []), { graph, value, data }]);
    }
  }
  for (const [key, places] of groups) if (places.length < 2) groups.delete(key);
  return groups;
}

async function equal(places: readonly Place[]): Promise<Map<string, Place[]>> {
  const groups = new Map<string, Place[]>();
  for (const place of places) {
    const key = await keyOf(place.data);
    groups.set(key, [...(groups.get(key) ?? []), place]);
  }
  return groups;
}

/** The first one of the main graph stays; copies that only bodies have move up to it. */
function merge(root: Graph, group: readonly Place[]): boolean {
  const free = group.filter(({ graph, value }) => !graph.outputs.includes(value));
  const [first] = free;
  if (free.length < 2 || !first) return false;
  const kept =
    free.find(({ graph }) => graph === root)?.value ??
    root.addInitializer(first.value.name, first.data);
  for (const { graph, value } of free) {
    if (value === kept) continue;
    graph.replace(value, kept);
    graph.removeInitializer(value);
  }
  return true;
}
