// Labels of files, lists of classes, and the choice of samples by class.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { readClasses } from '../../src/data/classes.ts';
import { openDataset } from '../../src/data/open.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

function filesIn(name: string, ...files: string[]): string {
  const path = join(folder, name);
  for (const file of files) {
    mkdirSync(join(path, file, '..'), { recursive: true });
    writeFileSync(join(path, file), file);
  }
  return path;
}

const BYTES = { head: 2, tail: 0, pad: 0, strip: false, block: 0, least: 0 };

async function open(path: string, options: Partial<DataOptions>) {
  const dataset = await openDataset(path, undefined, { seed: 0, bytes: BYTES, ...options });
  const all = Array.from({ length: dataset.length ?? 0 }, (_, i) => i);
  const labels = (await dataset.targets?.(all))?.get('labels') as Tensor;
  const names = all.map((i) => dataset.nameOf?.(i)?.slice(path.length + 1));
  return { dataset, names, labels: Array.from(elementsOf(labels) as ArrayLike<bigint>, Number) };
}

describe('labels in the names of files', () => {
  const path = filesIn('digits', '3_ann_0.wav', '3_ann_1.wav', '7_bob_0.wav');

  it('are numbers as they are, or positions among the classes; classes take turns', async () => {
    const numbers = await open(path, { labelPattern: '^(\\d)_' });
    expect(numbers.labels).toEqual([3, 7, 3]);
    expect(numbers.dataset.classes).toBeUndefined();
    const names = await open(path, { labelPattern: '_(\\w+)_' });
    expect([names.labels, names.dataset.classes]).toEqual([
      [0, 1, 0],
      ['ann', 'bob'],
    ]);
    const ordered = await open(path, { labelPattern: '_(\\w+)_', classes: ['x', 'bob', 'ann'] });
    expect(ordered.labels).toEqual([2, 1, 2]);
  });

  it('may stand in the name of the folder', async () => {
    const synsets = filesIn('synsets', 'n01440764_tench/a.x', 'n01443537_goldfish/b.x');
    const { labels } = await open(synsets, {
      labelPattern: '^(n\\d{8})_',
      classes: readClasses('imagenet'),
    });
    expect(labels).toEqual([0, 1]);
  });

  it('that are not there are bad samples', async () => {
    const some = filesIn('some', '1_a.x', 'b.x');
    const options = { labelPattern: '^(\\d)_' };
    await expect(open(some, options)).rejects.toMatchObject({
      code: 'data-label-missing',
      where: join(some, 'b.x'),
    });
    const { names, dataset } = await open(some, { ...options, skipBad: true });
    expect([names, dataset.bad?.count]).toEqual([['1_a.x'], 1]);
  });
});

describe('the first of each class', () => {
  const path = filesIn('classes', 'a/1', 'a/2', 'a/3', 'b/1', 'c/1', 'c/2');

  it('are as many as there are, before the limit of all', async () => {
    const two = await open(path, { limitPerClass: 2 });
    expect(two.names).toEqual(['a/1', 'b/1', 'c/1', 'a/2', 'c/2']);
    expect(two.dataset.summary).toContain('first 2 of each class');
    expect((await open(path, { limitPerClass: 1, limit: 2 })).names).toEqual(['a/1', 'b/1']);
  });

  it('are taken of the part', async () => {
    const part = { limitPerClass: 1, split: 0.5 } as const;
    const [train, rest] = [await open(path, part), await open(path, { ...part, part: 'rest' })];
    expect(train.names.filter((name) => rest.names.includes(name))).toEqual([]);
    expect(new Set(train.labels).size).toBe(train.labels.length);
  });

  it('need classes', async () => {
    const table = join(folder, 'plain.csv');
    writeFileSync(table, 'a,b\n1,2\n3,4\n');
    for (const data of [table, 'random']) {
      const x = [{ name: 'x', dtype: 'float32', shape: ['N', 2] }] as never;
      await expect(openDataset(data, x, { seed: 0, limitPerClass: 1 })).rejects.toMatchObject({
        code: 'class-labels-missing',
      });
    }
  });
});

describe('lists of classes', () => {
  it('are lines, or id2label of a config.json, or those of ImageNet', () => {
    const write = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    expect(readClasses(write('names.txt', 'dog\n\n cat \n'))).toEqual(['dog', 'cat']);
    const config = { id2label: { 1: 'cat', 0: 'dog' }, hidden_size: 3 };
    expect(readClasses(write('config.json', JSON.stringify(config)))).toEqual(['dog', 'cat']);
    expect(() => readClasses(write('gap.json', '{"id2label": {"1": "cat"}}'))).toThrow('0, 1, 2');
    expect(() => readClasses(write('none.json', '{"labels": []}'))).toThrow('no "id2label"');
    const imagenet = readClasses('imagenet');
    expect([imagenet.length, imagenet[0], imagenet[999]]).toEqual([1000, 'n01440764', 'n15075141']);
    expect([...imagenet].sort()).toEqual(imagenet);
  });
});
