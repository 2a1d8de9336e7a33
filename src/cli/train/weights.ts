// Trained weights put where the untrained ones were.

import assert from 'node:assert/strict';
import { allGraphs, attr, type Model } from '../../graph/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { narrowed } from '../../train/wide.ts';

/** A copy of the model with other data in its initializers (or Constant nodes), by name, in their types. */
export function putWeights(original: Model, weights: ReadonlyMap<string, Tensor>): Model {
  const model = original.clone();
  const left = new Map(weights);
  for (const value of model.graph.initializers) {
    const data = left.get(value.name);
    if (!data) continue;
    model.graph.setData(value, narrowed(data, value.dtype));
    left.delete(value.name);
  }
  for (const graph of left.size > 0 ? allGraphs(model) : []) {
    for (const node of graph.nodes) {
      const data = node.op === 'Constant' ? left.get(node.outputs[0]?.name ?? '') : undefined;
      if (!data) continue;
      node.setAttr('value', attr.tensor(narrowed(data, node.tensor('value')?.dtype)));
      left.delete(node.outputs[0]?.name ?? '');
    }
  }
  assert.equal(left.size, 0, `no place for trained ${[...left.keys()].slice(0, 3).join(', ')}`);
  return model;
}
