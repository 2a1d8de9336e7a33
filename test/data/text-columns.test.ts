// Texts of tables as tokens: classification, pairs, translation.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from '@jest/globals';
import { openDataset } from '../../src/data/open.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { type Dim, symbol } from '../../src/graph/index.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-texts-'));
afterAll(() => rmSync(folder, { recursive: true }));

const N = symbol('N');
const S = symbol('S');
const tokens = (name: string, ...shape: Dim[]) => ({ name, dtype: 'int64' as const, shape });
const numbers = (tensor: Tensor | undefined) =>
  tensor && Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number);

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function open(
  path: string,
  inputs: ReturnType<typeof tokens>[],
  options: Partial<DataOptions>,
) {
  const dataset = await openDataset(path, inputs, { seed: 0, ...options });
  for await (const { feeds, targets } of dataset.batches(1000)) {
    const rows = (tensors: typeof feeds) =>
      Object.fromEntries([...tensors].map(([name, tensor]) => [name, numbers(tensor)]));
    return { feeds: rows(feeds), targets: rows(targets), dataset };
  }
  throw new Error('no batch');
}

const BERT = [
  tokens('input_ids', N, 6),
  tokens('attention_mask', N, 6),
  tokens('token_type_ids', N, 6),
];
const wordpiece = 'fixtures/data/wordpiece.json';

describe('a column of texts', () => {
  // "a" and "the" are words of the vocabulary; 0 pads, 2 begins, 3 ends.
  it('is padded and cut to the length of the model', async () => {
    const path = write('a.csv', 'kind,words\n1,a\n0,a a a a a a a\n');
    const options = { tokenizer: wordpiece, text: 'words', label: 'kind' };
    const { feeds, targets } = await open(path, BERT, options);
    const a = feeds['input_ids']?.[1] as number;
    expect(feeds).toEqual({
      input_ids: [2, a, 3, 0, 0, 0, 2, a, a, a, a, 3],
      attention_mask: [1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1],
      token_type_ids: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    });
    expect(targets).toEqual({ labels: [1, 0] });
  });

  it('may have another beside it', async () => {
    const path = write('p.jsonl', '{"q": "a", "p": "a a", "y": 1}\n{"q": "a", "p": "", "y": 0}\n');
    const options = { tokenizer: wordpiece, text: 'q', textPair: 'p', label: 'y' };
    const { feeds } = await open(path, BERT, options);
    const a = feeds['input_ids']?.[1] as number;
    expect(feeds['input_ids']).toEqual([2, a, 3, a, a, 3, 2, a, 3, 3, 0, 0]);
    expect(feeds['token_type_ids']).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0]);
  });

  it('comes from Parquet, and from tables without a header', async () => {
    const ids = [tokens('ids', N, S)];
    const animals = { tokenizer: 'char', text: 'species', seq: 3, limit: 2 };
    const { feeds } = await open('fixtures/data/animals-zstd.parquet', ids, animals);
    // a c d e g l o t
    expect(feeds['ids']).toEqual([1, 0, 7, 2, 6, 4]);
    const path = write('bare.csv', '"3","ab"\n"1","b"\n');
    const classes = ['1', '2', '3'];
    const bare = { tokenizer: 'char', text: '1', label: '0', classes, seq: 2 };
    expect(await open(path, ids, bare)).toMatchObject({
      feeds: { ids: [0, 1, 1, 0] },
      targets: { labels: [2, 0] },
    });
  });

  it('refuses tokens that the model does not know', async () => {
    const path = write('t.csv', 'x,words\n1,abc\n');
    const small = [{ ...tokens('ids', N, 3), below: 98 }];
    const reading = open(path, small, { tokenizer: 'byte', text: 'words' });
    await expect(reading).rejects.toMatchObject({ code: 'data-token-unknown' });
  });
});

describe('lines', () => {
  it.each([
    ['l.txt', '1 ab c\n\n0 c\n'],
    ['l.txt.gz', gzipSync('1\tab c\r\n0 c')],
  ])('hold a label and a text: %s', async (name, content) => {
    const options = { tokenizer: 'char', label: '0', seq: 4 };
    const { feeds, targets } = await open(write(name, content), [tokens('ids', N, S)], options);
    expect(feeds['ids']).toEqual([1, 2, 0, 3, 3, 0, 0, 0]);
    expect(targets['labels']).toEqual([1, 0]);
  });

  it('are samples where column 0 is the text', async () => {
    const options = { tokenizer: 'char', text: '0', seq: 2 };
    const { feeds } = await open(write('m.txt', 'ab\nb\n'), [tokens('ids', N, S)], options);
    expect(feeds['ids']).toEqual([0, 1, 1, 0]);
  });

  it('that are broken are named, or left out', async () => {
    const path = write('b.txt', '1 ab\nalone\n0 b\n');
    const ids = [tokens('ids', N, S)];
    const options = { tokenizer: 'char', label: '0', seq: 2 };
    await expect(open(path, ids, options)).rejects.toMatchObject({ where: `${path}:2` });
    const { dataset, targets } = await open(path, ids, { ...options, skipBad: true });
    expect(targets['labels']).toEqual([1, 0]);
    expect(dataset.summary).toContain('1 bad skipped');
  });
});

describe('translation', () => {
  const inputs = [
    ...[tokens('input_ids', N, 4), tokens('attention_mask', N, 4)],
    ...[tokens('decoder_input_ids', N, 5), tokens('decoder_attention_mask', N, 5)],
  ];

  it('feeds the decoder the target behind a start token', async () => {
    const path = write('s.tsv', 'en\tde\nthe\ta\na a a a\ta a a a a a\n');
    const options = { tokenizer: wordpiece, text: 'en', textTarget: 'de' };
    const { feeds, targets } = await open(path, inputs, options);
    const a = feeds['decoder_input_ids']?.[1] as number;
    expect(feeds['input_ids']?.slice(4)).toEqual([2, a, a, 3]);
    expect(feeds['attention_mask']).toEqual([1, 1, 1, 0, 1, 1, 1, 1]);
    expect(feeds['decoder_input_ids']).toEqual([2, a, 0, 0, 0, 2, a, a, a, a]);
    expect(feeds['decoder_attention_mask']).toEqual([1, 1, 0, 0, 0, 1, 1, 1, 1, 1]);
    expect(targets['labels']).toEqual([a, 3, -100, -100, -100, a, a, a, a, 3]);
  });

  it('reads two files line by line', async () => {
    const [en, de] = [write('x.en', 'ab\nb\n'), write('x.de.gz', gzipSync('cd\ncdc\n'))];
    const { feeds, targets } = await open(`${en},${de}`, inputs, { tokenizer: 'char' });
    expect(feeds['input_ids']).toEqual([0, 1, 0, 0, 1, 0, 0, 0]);
    expect(targets['labels']).toEqual([2, 3, -100, -100, -100, 2, 3, 2, -100, -100]);
    const longer = write('y.de', 'c\nd\nc\n');
    await expect(open(`${en},${longer}`, inputs, { tokenizer: 'char' })).rejects.toMatchObject({
      code: 'data-counts',
      message: expect.stringMatching(/has 2 samples, but .* has 3$/),
    });
    await expect(open(`${en},none.de`, inputs, { tokenizer: 'char' })).rejects.toMatchObject({
      code: 'data-not-found',
    });
  });

  it('needs a decoder', async () => {
    const path = write('n.tsv', 'en\tde\na\tb\n');
    const options = { tokenizer: 'char', text: 'en', textTarget: 'de', seq: 4 };
    await expect(open(path, [tokens('ids', N, 4)], options)).rejects.toMatchObject({
      code: 'data-input-missing',
    });
  });
});
