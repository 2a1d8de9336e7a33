// Random inputs on which a model is compared with what passes made of it: one set of other sizes than
// one would take, so that a size that was built in by mistake shows, and one of the usual ones.

import { assumeSizes } from '../data/assume-sizes.ts';
import { inputSpecs } from '../data/inputs.ts';
import { randomFeeds } from '../data/random.ts';
import type { Model } from '../graph/index.ts';
import type { Feeds } from '../tensor/feeds.ts';

const OTHER_BATCH = 2;
/** The usual length of a sequence, and another one. */
const [USUAL_LENGTH, OTHER_LENGTH] = [16, 11];

export function checkSamples(model: Model, seed: number, batch = 1): Feeds[] {
  const specs = inputSpecs(model);
  const usual = assumeSizes(specs, { batch });
  const other = new Map(
    [...usual.assumed].map(([name, size]) => [name, size === USUAL_LENGTH ? OTHER_LENGTH : size]),
  );
  const isOpen = usual.hasBatch || usual.assumed.size > 0;
  const varied = assumeSizes(specs, { batch: batch * OTHER_BATCH, sizes: other });
  return [
    ...(isOpen ? [randomFeeds(varied.inputs, seed, 1)] : []),
    randomFeeds(usual.inputs, seed),
  ];
}
