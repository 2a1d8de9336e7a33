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

describe('hidden tokens', () => {
  const tokens = (indices: readonly number[]) =>
    Tensor.int64(indices.flatMap((i) => [0, 1, 2, 3, 4, 5, 6, 7].map((j) => 10 * i + j + 1)));
  const masked = new Feeder({
    dataset: {
      take: async (indices) => ({
        feeds: new Map([['ids', tokens(indices).reshape([indices.length, 8])]]),
        targets: new Map(),
        count: indices.length,
      }),
    },
    inputs: [
      { name: 'ids', dtype: 'int64', shape: [2, 8] },
      { name: 'target/labels', dtype: 'int64', shape: [2, 8] },
    ],
    targets: [{ name: 'labels', dtype: 'int64', shape: [8] }],
    seed: 1,
    masking: { input: 'ids', mask: 0, vocabulary: 200, special: new Set([0]), share: 0.5 },
  });

  it('are those of their step, however many steps are fed at once', async () => {
    const sampler = new Sampler(12, 2, 1);
    const all = await masked.training(sampler, 1, 3);
    for (const name of ['ids', 'target/labels']) {
      const each = [1, 2, 3].map(async (step) => {
        const feeds = await masked.training(sampler, step, 1);
        return feeds.get(name)?.numbers() ?? [];
      });
      expect(all.get(name)?.numbers()).toEqual((await Promise.all(each)).flat());
    }
    const [judged, last] = [
      await masked.evaluation(12, 2, 4, 2),
      await masked.evaluation(12, 2, 5, 1),
    ];
    expect(judged.get('ids')?.numbers().slice(16)).toEqual(last.get('ids')?.numbers());
  });
});
