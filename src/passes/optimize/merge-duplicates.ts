// Initializers of equal type, shape and bytes are stored once, whatever graph they stand in. Content
// is read only where type, shape and a sample agree, in pieces, and once per tensor.

import { type Graph, graphsOf, type Value } from '../../graph/index.ts';
import { contentKey } from '../../tensor/hash.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { mayEdit, type Pass, type PassContext } from '../pass.ts';

/** Tensors are immutable, so a key holds for as long as the tensor lives. */
const keys = new WeakMap<Tensor, Promise<string>>();

function keyOf(tensor: Tensor): Promise<string> {
  const known = keys.get(tensor) ?? contentKey(tensor);
  keys.set(tensor, known);
  return known;
}

const SAMPLE_BYTES = 4096;

/** The beginning, the middle and the end, where that spares reading it all. */
function sampleOf({ source, byteLength }: Tensor): string {
  if (!('read' in source) || byteLength <= 4 * SAMPLE_BYTES) return '';
  const middle = Math.floor((byteLength - SAMPLE_BYTES) / 2);
  return [0, middle, byteLength - SAMPLE_BYTES]
    .map((at) => Buffer.from(source.read(at, SAMPLE_BYTES)).toString('base64'))
    .join();
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
  async run(model, context) {
    let changed = false;
    for (const places of (await alike(model.graph)).values()) {
      for (const similar of groupBy(places, ({ data }) => sampleOf(data))) {
        for (const group of await equal(similar)) {
          changed = merge(model.graph, group, context) || changed;
        }
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
      const group = groups.get(key);
      if (group) group.push({ graph, value, data });
      else groups.set(key, [{ graph, value, data }]);
    }
  }
  for (const [key, places] of groups) if (places.length < 2) groups.delete(key);
  return groups;
}

async function equal(places: readonly Place[]): Promise<Place[][]> {
  if (places.length < 2) return [];
  const found = new Map<Place, string>();
  for (const place of places) found.set(place, await keyOf(place.data));
  return groupBy(places, (place) => found.get(place) ?? '');
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return [...groups.values()];
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
