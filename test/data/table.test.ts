import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { InputSpec } from '../../src/data/dataset.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { table } from '../../src/data/table.ts';
import { type Dim, symbol } from '../../src/graph/index.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-table-'));
afterAll(() => rmSync(folder, { recursive: true }));

const input = (name: string, dtype: DType, ...shape: Dim[]): InputSpec => ({ name, dtype, shape });
const N = symbol('N');

async function read(
  file: string,
  content: string | Uint8Array,
  inputs: InputSpec[],
  options: Partial<DataOptions> = {},
) {
  const path = join(folder, file);
  writeFileSync(path, content);
  const dataset = await table.open({ path, inputs, options: { seed: 0, ...options } });
  for await (const batch of dataset.batches(100)) return batch;
  throw new Error('no batch');
}

const numbers = (tensor: Tensor | undefined) =>
  tensor && Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number);
const texts = (tensor: Tensor | undefined) =>
  tensor && 'strings' in tensor.source
    ? tensor.source.strings.map((s) => new TextDecoder().decode(s))
    : undefined;

const CSV = 'a,b,species\n1,2.5,cat\n3,-4e-1,"dog, wet"\n';

describe('table', () => {
  it('puts feature columns side by side, and takes the label out', async () => {
    const batch = await read('t.csv', CSV, [input('x', 'float32', N, 2)], { label: 'species' });
    expect(batch.feeds.get('x')?.shape).toEqual([2, 2]);
    expect(numbers(batch.feeds.get('x'))).toEqual([1, 2.5, 3, Math.fround(-0.4)]);
    expect(numbers(batch.targets.get('labels'))).toEqual([0, 1]);
  });

  it('takes features in the order asked for', async () => {
    const batch = await read('t.csv', CSV, [input('x', 'float32', N, 2)], { features: ['b', 'a'] });
    expect(numbers(batch.feeds.get('x'))).toEqual([2.5, 1, Math.fround(-0.4), 3]);
  });

  it('feeds columns to the inputs of their names', async () => {
    const inputs = [input('species', 'string', N, 1), input('a', 'int64', N, 1)];
    const batch = await read('t.csv', CSV, inputs, { label: 'b' });
    expect(texts(batch.feeds.get('species'))).toEqual(['cat', 'dog, wet']);
    expect(numbers(batch.feeds.get('a'))).toEqual([1, 3]);
    expect(numbers(batch.targets.get('labels'))).toEqual([2.5, -0.4]);
  });

  it.each([
    ['semicolons', 'u.csv', '"a";"b"\r\n1;2\r\n3;4\r\n'],
    ['tabs', 'u.tsv', 'a\tb\n1\t2\n3\t4'],
    ['a byte order mark', 'v.csv', '\ufeffa,b\n1,2\n\n3,4\n'],
    ['gzip', 'u.csv.gz', gzipSync('a,b\n1,2\n3,4\n')],
    ['no header', 'w.csv', '1,2\n3,4\n'],
  ])('reads %s', async (_, file, content) => {
    const batch = await read(file, content, [input('x', 'float32', N, 2)]);
    expect(numbers(batch.feeds.get('x'))).toEqual([1, 2, 3, 4]);
  });

  it('takes empty cells as missing values', async () => {
    const batch = await read('m.csv', 'a,b\n1,\nNA,4\n', [input('x', 'float32', N, 2)]);
    expect(numbers(batch.feeds.get('x'))).toEqual([1, Number.NaN, Number.NaN, 4]);
  });

  it.each<[string, string | Uint8Array, Partial<DataOptions>, object]>([
    [
      'text in a number column, by line',
      CSV.replace('3,-', 'x,-'),
      { label: 'species' },
      { message: '"x" in column "a" is not a number', where: expect.stringMatching(/e\.csv:3$/) },
    ],
    ['an unknown label', CSV, { label: 'kind' }, { message: 'there is no column "kind"' }],
    [
      'a wrong number of columns',
      CSV,
      {},
      { message: 'the table gives 3 feature columns, but input "x" takes 2' },
    ],
    ['ragged rows', 'a,b\n1,2\n3\n', {}, { where: expect.stringMatching(/e\.csv:3$/) }],
    ['an empty file', '', {}, { message: 'there are no samples' }],
    ['a header alone', 'a,b\n', {}, { message: 'there are no samples' }],
  ])('refuses %s', async (_, content, options, error) => {
    const reading = read('e.csv', content, [input('x', 'float32', N, 2)], options);
    await expect(reading).rejects.toMatchObject({ kind: 'data', ...error });
  });

  it('refuses a damaged archive', async () => {
    const cut = gzipSync(CSV.repeat(1000)).subarray(0, 40);
    await expect(read('g.csv.gz', cut, [input('x', 'float32', N, 2)])).rejects.toMatchObject({
      kind: 'data',
    });
  });
});
