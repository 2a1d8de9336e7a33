// Token ids against those that Python's tokenizers found, see fixtures/data/make_tokenizers.py.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { openTokenizer } from '../../src/data/tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true }));

const FIXTURES = 'fixtures/data';
const none = () => [];

interface Reference {
  readonly texts: readonly string[];
  readonly pairs: readonly (readonly [string, string])[];
  readonly ids: Readonly<Record<string, { texts: number[][]; pairs: [number[], number[]][] }>>;
}

const reference: Reference = JSON.parse(readFileSync(join(FIXTURES, 'token-ids.json'), 'utf8'));

describe.each(['bpe', 'wordpiece', 'unigram'])('a tokenizer of kind %s', (kind) => {
  const open = () => openTokenizer(join(FIXTURES, `${kind}.json`), none);

  it('finds the ids that Python finds', async () => {
    const tokenizer = await open();
    const found = reference.texts.map((text) => tokenizer.encode(text, undefined, 10_000).ids);
    expect(found).toEqual(reference.ids[kind]?.texts);
  });

  it('cuts pairs as Python does', async () => {
    const tokenizer = await open();
    const found = reference.pairs.map(([a, b]) => tokenizer.encode(a, b, 16));
    const expected = reference.ids[kind]?.pairs;
    expect(found.map(({ ids }) => ids)).toEqual(expected?.map(([ids]) => ids));
    expect(found.map(({ types }) => types)).toEqual(expected?.map(([, types]) => types));
  });
});

describe('characters and bytes', () => {
  it('are numbered by code point, and by value', async () => {
    const char = await openTokenizer('char', () => ['ba', 'é😀b']);
    expect(char.ids('abé😀')).toEqual([0, 1, 2, 3]);
    const byte = await openTokenizer('byte', none);
    expect(byte.ids('aé')).toEqual([97, 0xc3, 0xa9]);
  });

  it('are the same from a file', async () => {
    for (const kind of ['char', 'byte'] as const) {
      const tokenizer = await openTokenizer(kind, () => ['abc é\n']);
      const path = join(folder, `${kind}.json`);
      writeFileSync(path, JSON.stringify(tokenizer.file));
      const again = await openTokenizer(path, none);
      expect(again.ids('\nc é')).toEqual(tokenizer.ids('\nc é'));
      expect(again.constructor).toBe(tokenizer.constructor);
    }
  });

  it('refuse a character that the vocabulary does not have', async () => {
    const char = await openTokenizer('char', () => ['ab']);
    expect(() => char.ids('abc')).toThrow('the vocabulary has no character "c"');
  });
});

it('refuses what is no tokenizer', async () => {
  const path = join(folder, 'broken.json');
  for (const content of ['{', '{}', '{"model": {}}']) {
    writeFileSync(path, content);
    await expect(openTokenizer(path, none)).rejects.toMatchObject({
      code: 'data-broken',
      where: path,
    });
  }
  await expect(openTokenizer(join(folder, 'x.json'), none)).rejects.toMatchObject({
    code: 'data-not-found',
  });
});
