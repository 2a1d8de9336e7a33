// A key of all that a model computes: two models with the same key give the same results.

import { createHash } from 'node:crypto';
import { contentKey } from '../tensor/hash.ts';
import type { Model } from './model.ts';
import { printModel } from './print.ts';
import { allGraphs } from './walk.ts';

/** Of graph and weights; reads all weights once. */
export async function modelKey(model: Model): Promise<string> {
  const hash = createHash('sha256');
  hash.update(printModel(model));
  for (const graph of allGraphs(model)) {
    for (const { name, data } of graph.initializers) {
      if (data) hash.update(`${name}=${await contentKey(data)}\n`);
    }
  }
  return hash.digest('hex');
}
