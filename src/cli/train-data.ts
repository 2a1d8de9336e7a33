// Data of a training run: samples of the model's inputs, in batches of any size.

import type { Dataset } from '../data/dataset.ts';
import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import type { DataOptions } from '../data/options.ts';
import { type Model, symbol } from '../graph/index.ts';

export function openTrainingData(
  path: string,
  model: Model,
  options: DataOptions,
): Promise<Dataset> {
  const specs = inputSpecs(model).map((input) => ({
    ...input,
    shape: [symbol('batch'), ...input.shape.slice(1)],
  }));
  return openDataset(path, specs, options);
}
