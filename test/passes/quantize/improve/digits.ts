// The digits that the fixtures were trained on, in batches, and how many of them a model gets right.

import { inputSpecs } from '../../../../src/data/inputs.ts';
import { openDataset } from '../../../../src/data/open.ts';
import type { Model } from '../../../../src/graph/index.ts';
import type { Feeds } from '../../../../src/tensor/feeds.ts';

async function batches(model: Model, part: 'train' | 'test', limit: number) {
  const path = `fixtures/digits-${part}.npz`;
  const data = await openDataset(path, inputSpecs(model), { seed: 0, limit });
  const found = [];
  for await (const batch of data.batches(32)) found.push(batch);
  return found;
}

export async function digitFeeds(
  model: Model,
  part: 'train' | 'test',
  limit: number,
): Promise<Feeds[]> {
  return (await batches(model, part, limit)).map(({ feeds }) => feeds);
}
