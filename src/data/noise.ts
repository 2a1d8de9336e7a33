// `random`: seeded noise in the shape of the inputs, batch after batch.

import { classLabelsMissing } from '../errors/data.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { assumeSizes } from './assume-sizes.ts';
import type { Batch, Dataset, InputSpec } from './dataset.ts';
import type { DataOptions } from './options.ts';
import { randomFeeds } from './random.ts';

export function noise(inputs: readonly InputSpec[], options: DataOptions): Dataset {
  const { seed, limit, limitPerClass } = options;
  if (limitPerClass !== undefined) throw classLabelsMissing();
  const { assumed } = assumeSizes(inputs);
  const guesses = [...assumed].map(([name, size]) => `, ${name} assumed to be ${size}`);
  const limited = limit === undefined ? '' : `, ${limit} samples`;
  return {
    summary: `random: seed ${seed}${limited}${guesses.join('')}`,
    length: limit,
    async *batches(size: number): AsyncIterable<Batch> {
      const sized = assumeSizes(inputs, { batch: size });
      const step = sized.hasBatch ? size : 1;
      for (let draw = 0; limit === undefined || draw * step < limit; draw++) {
        const feeds = randomFeeds(sized.inputs, seed, draw);
        yield { feeds, targets: new Map<string, Tensor>(), count: step };
      }
    },
  };
}
