import { describe, expect, it } from '@jest/globals';
import type { TakeOptions } from '../../src/data/dataset.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { Feeder } from '../../src/train/feeder.ts';
import { Sampler } from '../../src/train/sampler.ts';

/** Samples that say who they are and what they were augmented by. */
const dataset = {
  take: (indices: readonly number[], { augment = -1 }: TakeOptions = {}) =>
    Promise.resolve({
      feeds: new Map([
        [
          'x',
          Tensor.of(
            'float32',
            [indices.length, 2],
            indices.flatMap((i) => [i, augment]),
          ),
        ],
      ]),
      targets: new Map<string, Tensor>(),
      count: indices.length,
    }),
};

const feeder = new Feeder({
  dataset,
  inputs: [{ name: 'x', dtype: 'float32', shape: [6, 2] }],
  targets: [],
  seed: 3,
  isPaired: true,
});

/** [sample, augmentation] of each row of a step. */
async function rows(step: number): Promise<[number, number][]> {
  const feeds = await feeder.training(new Sampler(12, 3, 3), step, 1);
  const found = feeds.get('x');
  expect(found?.shape).toEqual([1, 6, 2]);
  const numbers = found?.numbers() ?? [];
  return [0, 1, 2, 3, 4, 5].map((row) => [
    numbers[2 * row] as number,
    numbers[2 * row + 1] as number,
  ]);
}

describe('pairs of views', () => {
  it('are the same samples, augmented in two ways, first views before second ones', async () => {
    const all = await rows(1);
    const [first, second] = [all.slice(0, 3), all.slice(3)];
    expect(second.map(([sample]) => sample)).toEqual(first.map(([sample]) => sample));
    const augmentations = [first, second].map((view) => [...new Set(view.map(([, a]) => a))]);
    expect(augmentations.map(({ length }) => length)).toEqual([1, 1]);
    expect(augmentations[0]).not.toEqual(augmentations[1]);
  });

  it('come again after a stop, and are augmented anew in the next epoch', async () => {
    expect(await rows(2)).toEqual(await rows(2));
    const seen = new Set([...(await rows(0)), ...(await rows(4))].map(([, augment]) => augment));
    expect(seen.size).toBe(4);
  });

  it('are views of the samples as they are where they are judged', async () => {
    const feeds = await feeder.evaluation(4, 6, 1, 1);
    expect(feeds.get('x')?.numbers()).toEqual([3, -1, 3, -1, 3, -1, 3, -1, 3, -1, 3, -1]);
    expect(feeds.get('real')?.numbers()).toEqual([1, 0, 0, 1, 0, 0]);
  });
});
