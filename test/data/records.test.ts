// Tables whose cells have types: JSON lines and Parquet; and what is done with bad rows.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { InputSpec } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { type Dim, symbol } from '../../src/graph/index.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-records-'));
afterAll(() => rmSync(folder, { recursive: true }));

const input = (name: string, dtype: DType, ...shape: Dim[]): InputSpec => ({ name, dtype, shape });
const N = symbol('N');
const numbers = (tensor: Tensor | undefined) =>
  tensor && Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number);

async function open(path: string, inputs: InputSpec[], options: Partial<DataOptions> = {}) {
  const dataset = await openDataset(path, inputs, { seed: 0, ...options });
  for await (const batch of dataset.batches(100)) return { ...batch, summary: dataset.summary };
  throw new Error('no batch');
}

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('JSON lines', () => {
  const LINES = [
    '{"x": [1, 2.5], "kind": "cat", "n": 3, "late": null}',
    '{"kind": "dog\\u2028", "n": true, "x": [3, 4]}',
    '',
    '{"x": [5, 6], "kind": "cat", "n": null}',
  ].join('\r\n');

  it.each([
    ['lines.jsonl', LINES],
    ['lines.ndjson.gz', gzipSync(LINES)],
  ])('reads %s', async (name, content) => {
    const path = write(name, content);
    const batch = await open(path, [input('x', 'float32', N, 2)], { label: 'n' });
    expect(numbers(batch.feeds.get('x'))).toEqual([1, 2.5, 3, 4, 5, 6]);
    expect(batch.count).toBe(3);
  });

  it('gives lists their shape', async () => {
    const path = write('lists.jsonl', '{"i": [[1, 2, 3], [4, 5, 6]], "y": [0, 1]}\n');
    const batch = await open(path, [input('pixels', 'float32', N, 2, 3)], { label: 'y' });
    expect(batch.feeds.get('pixels')?.shape).toEqual([1, 2, 3]);
    expect(batch.targets.get('labels')?.shape).toEqual([1, 2]);
    expect(numbers(batch.targets.get('labels'))).toEqual([0, 1]);
  });

  it('makes labels positions in a list of classes', async () => {
    const path = write('classes.jsonl', '{"x": 1, "y": "dog"}\n{"x": 2, "y": "cat"}\n');
    const x = [input('x', 'float32', N, 1)];
    const batch = await open(path, x, { label: 'y', classes: ['eel', 'cat', 'dog'] });
    expect(numbers(batch.targets.get('labels'))).toEqual([2, 1]);
    await expect(open(path, x, { label: 'y', classes: ['cat'] })).rejects.toMatchObject({
      code: 'data-class-unknown',
      where: `${path}:1`,
    });
  });

  const BROKEN = '{"x": 1}\n{"x": \n[3]\n{"x": "four"}\n{"x": [5, 6]}\n{"x": 7}\n';

  it.each([
    [BROKEN, 2, 'data-broken'],
    [BROKEN.replace('{"x": \n', ''), 2, 'data-broken'],
    ['{"x": 1}\n{"x": "four"}\n', 2, 'data-not-a-number'],
    ['{"x": 1}\n\n{"x": [5, 6]}\n', 3, 'data-broken'],
    ['{"x": [[1], [2, 3]]}\n', 1, 'data-broken'],
  ])('names the broken line of %j', async (text, line, code) => {
    const path = write('broken.jsonl', text);
    const reading = open(path, [input('x', 'float32', N, 1)]);
    await expect(reading).rejects.toMatchObject({ kind: 'data', code, where: `${path}:${line}` });
  });

  it('leaves broken lines out when told to', async () => {
    const path = write('broken.jsonl', BROKEN);
    const batch = await open(path, [input('x', 'float32', N, 1)], { skipBad: true });
    expect(numbers(batch.feeds.get('x'))).toEqual([1, 7]);
    expect(batch.summary).toContain('4 bad skipped: ');
    for (const line of [2, 3, 4, 5]) expect(batch.summary).toContain(`broken.jsonl:${line} (`);
  });
});

describe('bad rows of separated values', () => {
  it('are left out when told to', async () => {
    const path = write('bad.csv', 'a,b\n1,2\n3\nx,4\n5,6\n');
    const x = [input('x', 'float32', N, 2)];
    const batch = await open(path, x, { skipBad: true });
    expect(numbers(batch.feeds.get('x'))).toEqual([1, 2, 5, 6]);
    expect(batch.summary).toMatch(/2 bad skipped: .*bad\.csv:3 \(.*bad\.csv:4 \("x" in column "a"/);
    await expect(open(path, x)).rejects.toMatchObject({ where: `${path}:3` });
  });

  it('may have a first row of texts where columns are asked for by number', async () => {
    const path = write('bare.csv', '"3","a text","1"\n"4","another","2"\n');
    const batch = await open(path, [input('x', 'float32', N, 1)], { label: '0', features: ['2'] });
    expect(numbers(batch.feeds.get('x'))).toEqual([1, 2]);
    expect(numbers(batch.targets.get('labels'))).toEqual([3, 4]);
  });
});

describe('Parquet', () => {
  it.each(['zstd', 'snappy'])('reads columns by name, packed by %s', async (codec) => {
    const path = join('fixtures/data', `animals-${codec}.parquet`);
    const inputs = [input('a', 'int64', N, 1), input('b', 'float32', N, 1)];
    const batch = await open(path, inputs, { label: 'wild' });
    expect(numbers(batch.feeds.get('a'))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(numbers(batch.feeds.get('b'))).toEqual([0.5, Number.NaN, 1.5, 2, 2.5, 3, 3.5]);
    expect(numbers(batch.targets.get('labels'))).toEqual([1, 0, 1, 1, 0, 0, 1]);
  });

  it('gives lists their shape', async () => {
    const path = 'fixtures/data/animals-zstd.parquet';
    const image = [input('pixels', 'float32', N, 1, 2, 2)];
    const options = { features: ['image'], label: 'species', classes: ['cat', 'dog', 'eel'] };
    const batch = await open(path, image, options);
    expect(numbers(batch.feeds.get('pixels'))?.slice(-8)).toEqual([5, 6, 7, 8, 6, 7, 8, 9]);
    expect(numbers(batch.targets.get('labels'))).toEqual([0, 1, 0, 2, 1, 0, 2]);
  });

  it('refuses what is none', async () => {
    const path = write('none.parquet', 'PAR1 no PAR1');
    await expect(open(path, [input('x', 'float32', N, 1)])).rejects.toMatchObject({
      code: 'data-broken',
      where: path,
    });
  });
});
