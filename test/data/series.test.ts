import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { DataOptions } from '../../src/data/options.ts';
import { table } from '../../src/data/table.ts';
import { type Dim, symbol } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-series-'));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, 'series.csv');
const ROWS = 10;
// Row t is t, 100 + t: what a window holds says which rows it is made of.
const lines = Array.from({ length: ROWS }, (_, t) => `2020-01-${t + 1},${t},${100 + t}`);
writeFileSync(path, ['day,a,b', ...lines].join('\n'));

const N = symbol('N');
const open = (shape: readonly Dim[], options: Partial<DataOptions>) => {
  const inputs = [{ name: 'x', dtype: 'float32', shape: [N, ...shape] } as const];
  return table.open({
    path,
    inputs,
    options: { seed: 0, features: ['a', 'b'], label: 'b', horizon: 2, ...options },
  });
};

async function all(shape: readonly Dim[], options: Partial<DataOptions> = {}) {
  const dataset = await open(shape, options);
  for await (const { feeds, targets } of dataset.batches(ROWS)) {
    const [x, labels] = [feeds.get('x') as Tensor, targets.get('labels') as Tensor];
    return { dataset, shape: x.shape, x: x.numbers(), labels: labels.numbers() };
  }
  throw new Error('no batch');
}

describe('a series', () => {
  it('gives windows of rows, and the label of the rows behind each', async () => {
    const { shape, x, labels } = await all([3, 2]);
    expect(shape).toEqual([ROWS - 3 - 2 + 1, 3, 2]);
    expect(x.slice(0, 12)).toEqual([0, 100, 1, 101, 2, 102, 1, 101, 2, 102, 3, 103]);
    expect(labels.slice(0, 4)).toEqual([103, 104, 104, 105]);
    expect(labels.at(-1)).toBe(100 + ROWS - 1);
  });

  it('lays windows flat where the model takes a vector', async () => {
    const { shape, x } = await all([6], { features: ['a'] });
    expect(shape).toEqual([3, 6]);
    expect(x.slice(6)).toEqual([1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7]);
  });

  it('is as long as --seq where the model leaves it open, and steps by --stride', async () => {
    const { shape, x } = await all([symbol('T'), 1], { features: ['a'], seq: 4, stride: 3 });
    expect(shape).toEqual([2, 4, 1]);
    expect(x).toEqual([0, 1, 2, 3, 3, 4, 5, 6]);
  });

  it('tells differences to the last row of a window, where asked', async () => {
    const { x, labels } = await all([3, 2], { relative: true });
    expect(x.slice(0, 12)).toEqual([-2, -2, -1, -1, 0, 0, -2, -2, -1, -1, 0, 0]);
    expect(labels.slice(0, 4)).toEqual([1, 2, 1, 2]);
  });

  it('is cut in time: what is left shares no row with what is trained on', async () => {
    const split = { split: 0.6, features: ['a'], label: 'a', horizon: 1 };
    const before = await all([2], split);
    const after = await all([2], { ...split, part: 'rest' });
    expect([...before.x, ...before.labels].every((t) => t < 6)).toBe(true);
    expect([...after.x, ...after.labels].every((t) => t >= 6)).toBe(true);
    expect([before.shape[0], after.shape[0]]).toEqual([4, 2]);
    expect(after.dataset.summary).toContain('part rest of train=0.6, in order');
  });

  it.each<[string, readonly Dim[], Partial<DataOptions>, RegExp]>([
    ['no label', [3, 2], { label: undefined }, /needs the column/],
    ['a window that is open', [symbol('T'), 2], {}, /windows of rows with 2 columns do not fit/],
    ['half a row', [5], {}, /windows of rows with 2 columns do not fit/],
    ['another window than the model takes', [3, 2], { seq: 4 }, /windows of 4 rows/],
    ['too few rows', [9, 2], {}, /10 rows are fewer than a window of 9 and the 2/],
    ['a column of words', [3, 1], { features: ['day'] }, /"2020-01-1" in column "day"/],
    ['a column that is not there', [3, 1], { features: ['c'] }, /no column "c"/],
  ])('refuses %s', async (_, shape, options, message) => {
    await expect(open(shape, options)).rejects.toThrow(message);
  });
});
