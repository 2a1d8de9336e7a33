// Where a loss that is no number comes from: the forward pass of that step once more, with all of its
// values shown, in order.

import type { Model } from '../../graph/index.ts';
import { observableValues } from '../../runtime/observe.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { loadModel } from '../../runtime/runner.ts';
import { isFloat } from '../../tensor/dtype.ts';
import { elementsOf } from '../../tensor/elements.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { TrainingGraph } from '../../train/plan.ts';
import type { State } from '../../train/trainer.ts';
import { widenCodes } from '../../train/wide-codes.ts';
import { stateWeights } from './checkpoint.ts';

/** The first weight, input or value that is not finite; `stacked` holds the data of one step. */
export async function firstNotFinite(
  watched: Model,
  training: TrainingGraph,
  state: State,
  stacked: Feeds,
  session: SessionOptions,
): Promise<string | undefined> {
  const model = watched.clone();
  widenCodes(model);
  const weights = stateWeights(training, state);
  for (const value of model.graph.initializers) {
    const data = weights.get(value.name);
    if (!data) continue;
    if (!isSound(data)) return value.name;
    model.graph.setData(value, data);
  }
  const feeds = new Map<string, Tensor>();
  for (const { name } of model.graph.inputs) {
    const tensor = stacked.get(name);
    if (!tensor) continue;
    if (!isSound(tensor)) return name;
    feeds.set(name, tensor.reshape(tensor.shape.slice(1)));
  }
  const names = observableValues(model);
  const loaded = await loadModel(model, session, names);
  try {
    const found = await loaded.run(feeds);
    return names.find((name) => !isSound(found.get(name)));
  } finally {
    await loaded.dispose();
  }
}

function isSound(tensor: Tensor | undefined): boolean {
  if (!tensor || !isFloat(tensor.dtype)) return true;
  const values = elementsOf(tensor) as ArrayLike<number>;
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
