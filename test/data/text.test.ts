// Texts as windows of tokens for language models.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { InputSpec } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { openTokenizer } from '../../src/data/tokenizer.ts';
import { type Dim, symbol } from '../../src/graph/index.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-text-'));
afterAll(() => rmSync(folder, { recursive: true }));

const tokens = (name: string, ...shape: Dim[]): InputSpec => ({ name, dtype: 'int64', shape });
const N = symbol('N');
const S = symbol('S');
const numbers = (tensor: Tensor | undefined) =>
  tensor && Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number);

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function open(path: string, inputs: InputSpec[], options: Partial<DataOptions>) {
  const dataset = await openDataset(path, inputs, { seed: 0, ...options });
  for await (const batch of dataset.batches(1000)) return { ...batch, dataset };
  throw new Error('no batch');
}

describe('text', () => {
  it.each([
    ['plain', 'a.txt', 'hello world'],
    ['packed', 'a.txt.gz', gzipSync('hello world')],
    ['marked as UTF-8', 'b.txt', '\ufeffhello world'],
  ])('is cut into windows of the length of the model: %s', async (_, name, content) => {
    const path = write(name, content);
    const { feeds, dataset } = await open(path, [tokens('input_ids', N, 4)], { tokenizer: 'char' });
    // Characters in order: space d e h l o r w
    expect(feeds.get('input_ids')?.shape).toEqual([2, 4]);
    expect(numbers(feeds.get('input_ids'))).toEqual([3, 2, 4, 4, 5, 0, 7, 5]);
    expect(dataset.summary).toContain('11 tokens of 8, windows of 4');
  });

  it('fills the inputs beside the tokens', async () => {
    const path = write('c.txt', 'hello');
    const names = ['attention_mask', 'input_ids', 'position_ids', 'token_type_ids'];
    const inputs = names.map((name) => tokens(name, N, S));
    const { feeds } = await open(path, inputs, { tokenizer: 'byte', seq: 3, stride: 2 });
    expect(names.map((name) => numbers(feeds.get(name)))).toEqual([
      [1, 1, 1, 1, 1, 1],
      [104, 101, 108, 108, 108, 111],
      [0, 1, 2, 0, 1, 2],
      [0, 0, 0, 0, 0, 0],
    ]);
  });

  it('gives the parts of a split no token in common', async () => {
    const path = write(
      'd.txt',
      String.fromCharCode(...Array.from({ length: 90 }, (_, i) => 33 + i)),
    );
    const options = { tokenizer: 'byte', seq: 8, stride: 3, split: 0.8 };
    const part = async (name: 'train' | 'rest') => {
      const { feeds } = await open(path, [tokens('x', N, S)], { ...options, part: name });
      return numbers(feeds.get('x')) ?? [];
    };
    const [train, rest] = [await part('train'), await part('rest')];
    expect(Math.max(...train)).toBeLessThan(Math.min(...rest));
    expect([train.length, rest.length]).toEqual([22 * 8, 4 * 8]);
  });

  it('keeps the vocabulary for other data', async () => {
    const path = write('e.txt', 'hello world');
    const x = [tokens('x', N, 2)];
    const { dataset } = await open(path, x, { tokenizer: 'char' });
    const other = write('f.txt', 'world');
    const { feeds } = await open(other, x, { tokenizer: dataset.vocabulary });
    expect(numbers(feeds.get('x'))).toEqual([7, 5, 6, 4]);
    await expect(
      open(write('g.txt', 'Welt'), x, { tokenizer: dataset.vocabulary }),
    ).rejects.toMatchObject({ kind: 'data', code: 'data-character-unknown' });
  });

  it('gives long texts the ids that they have as a whole', async () => {
    const words = Array.from({ length: 5000 }, (_, i) => `word${i % 97} of,\n\n  line. ${i}\n`);
    const content = words.join('');
    const path = write('long.txt', content);
    const file = 'fixtures/data/bpe.json';
    const { feeds } = await open(path, [tokens('x', N, 1)], { tokenizer: file, limit: 1000 });
    const whole = await openTokenizer(file, () => []);
    expect(numbers(feeds.get('x'))).toEqual(whole.ids(content.slice(0, 4000)).slice(0, 1000));
    const all = await openDataset(path, [tokens('x', N, 1)], { seed: 0, tokenizer: file });
    expect(all.length).toBe(whole.ids(content).length);
  });

  it.each<[string, InputSpec[], Partial<DataOptions>, object]>([
    ['no tokenizer', [tokens('x', N, 2)], {}, { kind: 'usage', code: 'tokenizer-missing' }],
    ['no length', [tokens('x', N, S)], { tokenizer: 'byte' }, { code: 'sequence-open' }],
    [
      'another length',
      [tokens('x', N, 2)],
      { tokenizer: 'byte', seq: 3 },
      { code: 'sequence-fixed' },
    ],
    ['images', [tokens('x', N, 1, 2, 2)], { tokenizer: 'byte' }, { code: 'data-input-missing' }],
    ['less than a window', [tokens('x', N, 9)], { tokenizer: 'byte' }, { code: 'data-empty' }],
  ])('refuses %s', async (_, inputs, options, error) => {
    await expect(open(write('h.txt', 'hello'), inputs, options)).rejects.toMatchObject(error);
  });
});
