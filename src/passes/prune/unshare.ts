// Exporters and optimisers store equal constants once: the zero biases of two layers become one vector,
// which would tie the channels of both. Each reader gets its own again. Larger weights that are shared
// are meant to be (tied embeddings), and stay.

import { type Graph, graphsOf, type Model, type Node, type Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Gives each reader of a vector its own copy; the data is shared still. True where there was one. */
export function unshare(model: Model): boolean {
  let changed = false;
  for (const graph of graphsOf(model.graph)) {
    const constants = [...graph.nodes]
      .filter(({ op, domain }) => op === 'Constant' && domain === '')
      .map(({ output }) => output);
    for (const value of [...graph.initializers, ...constants]) {
      if (isVector(value)) changed = splitUses(graph, value) || changed;
    }
  }
  return changed;
}

/**
 * Numbers along one axis: [C], [C, 1, 1] …; what is a default of an input stays, and so does a vector
 * whose length somebody asks for: it stands for the size of what else reads it.
 */
function isVector(value: Value): boolean {
  if (value.uses.length < 2 || value.uses.some(({ node }) => isSizeOf(node))) return false;
  const data = constantData(value);
  return (
    data?.dtype.startsWith('int64') === false && data.shape.filter((dim) => dim > 1).length === 1
  );
}

/** Looks at the shape of its input, not at the numbers. */
export function isSizeOf({ op }: Node): boolean {
  return op === 'Shape' || op === 'Size';
}

function splitUses(graph: Graph, value: Value): boolean {
  const data = value.data ?? constantData(value);
  if (!data) return false;
  let changed = false;
  const [first, ...others] = value.uses;
  for (const { node, index } of others) {
    if (node === first?.node) continue;
    node.setInput(index, graph.addInitializer(value.name, data));
    changed = true;
  }
  return changed;
}

/** Joins again the vectors that are still the same data: those that nothing was cut from. */
export function reshare(model: Model): void {
  for (const graph of graphsOf(model.graph)) {
    const first = new Map<Tensor, Value>();
    for (const value of [...graph.initializers]) {
      const known = value.data && first.get(value.data);
      if (!value.data || graph.inputs.includes(value) || graph.outputs.includes(value)) continue;
      if (!known) {
        first.set(value.data, value);
        continue;
      }
      for (const { node, index } of [...value.uses]) node.setInput(index, known);
      graph.removeInitializer(value);
    }
  }
}
