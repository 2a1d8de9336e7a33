import { describe, expect, it } from '@jest/globals';
import { joined } from '../../src/data/join.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { balanced, ReplaySampler } from '../../src/train/replay.ts';
import { Sampler } from '../../src/train/sampler.ts';

const make = () => new ReplaySampler(new Sampler(20, 4, 7), 20, 5, 2, 7);

describe('samples of a run with replay', () => {
  it('puts old ones behind the new ones of each step, each as often as any other', () => {
    const sampler = make();
    const old: number[] = [];
    for (let step = 0; step < 5; step++) {
      const samples = sampler.samples(step, 1);
      expect(samples).toHaveLength(6);
      expect(samples.slice(0, 4).every((sample) => sample < 20)).toBe(true);
      old.push(...samples.slice(4));
    }
    expect(old.slice(0, 5).sort()).toEqual([20, 21, 22, 23, 24]);
    expect(old.slice(5).sort()).toEqual([20, 21, 22, 23, 24]);
  });

  it('gives a step the same samples however it is asked', () => {
    const whole = make().samples(5, 5);
    const parts = [9, 7, 5, 8, 6].map((step) => [step, make().samples(step, 1)] as const);
    expect(parts.sort(([a], [b]) => a - b).flatMap(([, samples]) => samples)).toEqual(whole);
  });

  it('keeps as many samples of each class', () => {
    const labels = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 0, 0];
    const counts = (limit: number, seed: number) => {
      const found = balanced(labels, limit, seed).map((sample) => labels[sample]);
      return [0, 1, 2].map((label) => found.filter((one) => one === label).length);
    };
    expect(counts(3, 1)).toEqual([1, 1, 1]);
    expect(counts(7, 1)).toEqual([3, 3, 1]);
    expect(balanced(labels, 5, 1)).toEqual(balanced(labels, 5, 1));
    expect(balanced(labels, 5, 1)).not.toEqual(balanced(labels, 5, 2));
  });
});

const dataset = (first: number, length: number, dtype: 'int64' | 'int32', width = 2) => ({
  summary: 'old.npz',
  length,
  take: (indices: readonly number[]) =>
    Promise.resolve({
      feeds: new Map([
        [
          'x',
          Tensor.of(
            'float32',
            [indices.length, width],
            indices.flatMap((i) => new Array<number>(width).fill(first + i)),
          ),
        ],
      ]),
      targets: new Map([
        [
          'labels',
          Tensor.of(
            dtype,
            [indices.length],
            indices.map((i) => first + i),
          ),
        ],
      ]),
      count: indices.length,
    }),
});

describe('two datasets as one', () => {
  it('gives samples of both in the order in which they are asked for', async () => {
    const one = joined(dataset(0, 4, 'int64'), dataset(100, 4, 'int32'), [3, 1]);
    const { feeds, targets, count } = await one.take([5, 2, 4, 0]);
    expect(count).toBe(4);
    expect(feeds.get('x')?.numbers()).toEqual([101, 101, 2, 2, 103, 103, 0, 0]);
    expect(targets.get('labels')?.dtype).toBe('int64');
    expect(targets.get('labels')?.numbers()).toEqual([101, 2, 103, 0]);
  });

  it('refuses samples of another size, and names the file', async () => {
    const one = joined(dataset(0, 4, 'int64'), dataset(100, 4, 'int64', 3), [0]);
    await expect(one.take([0, 4])).rejects.toThrow(/"x" is \[3\] for a sample/);
  });
});
