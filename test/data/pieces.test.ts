// Where tokens stand in their text, and the text that ids spell, against Python's tokenizers
// (make_offsets.py).

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { openTokenizer } from '../../src/data/tokenizer.ts';

interface Reference {
  /** For each text first and last place of each token, one after the other. */
  readonly offsets: readonly (readonly number[])[];
  readonly decoded: readonly string[];
}

const reference: Readonly<Record<string, Reference>> & { readonly texts: readonly string[] } =
  JSON.parse(readFileSync('test/data/offsets.json', 'utf8'));
const { texts } = reference;

/** Alone, each letter of this line is the unknown token of WordPiece; Python knows which it was. */
const UNKNOWN = '中文字符 and 日本語のテキスト';
/** Words of these come out uneven. */
const UNEVEN: Readonly<Record<string, string>> = {
  wordpiece: UNKNOWN,
  unigram: 'e\u0301 combining, ﬁ ligature, ½',
};

describe.each(['bpe', 'wordpiece', 'unigram', 'wordlevel'])('a tokenizer of kind %s', (kind) => {
  const open = () => openTokenizer(`fixtures/data/${kind}.json`, () => []);
  const { offsets, decoded } = reference[kind] as Reference;

  it('cuts words alone into the tokens of the whole text', async () => {
    const tokenizer = await open();
    for (const text of texts.filter((line) => line.trim() !== '')) {
      const found = tokenizer.pieces(text).map(({ id }) => id);
      expect([text, found]).toEqual([text, tokenizer.ids(text)]);
    }
  });

  it('finds tokens where Python finds them', async () => {
    const tokenizer = await open();
    texts.forEach((text, line) => {
      if (text === UNEVEN[kind]) return;
      const wanted = offsets[line] ?? [];
      const found = tokenizer.pieces(text).map(({ from, to }) => [from, to]);
      // Of a token that is a space alone they say different places.
      found.forEach(([from, to], i) => {
        if (from !== to)
          expect([text, from, to]).toEqual([text, ...wanted.slice(2 * i, 2 * i + 2)]);
      });
      const held = found.filter(([from, to]) => from !== to);
      expect(held.length).toBeGreaterThanOrEqual(text.split(' ').filter(Boolean).length);
    });
  });

  it('spells ids as Python does', async () => {
    const tokenizer = await open();
    const found = texts.map((text) => tokenizer.decode(tokenizer.ids(text)));
    expect(found).toEqual(texts.map((text, i) => (text.trim() === '' ? found[i] : decoded[i])));
  });

  it('joins two texts as it encodes them', async () => {
    const tokenizer = await open();
    const [a, b] = ['What runs it?', 'Node and npm are all it needs.'];
    const [first, second] = [tokenizer.ids(a), tokenizer.ids(b)];
    const { ids, types, start } = tokenizer.join(first, second);
    expect({ ids, types }).toEqual(tokenizer.encode(a, b, 1000));
    expect(ids.slice(start, start + second.length)).toEqual(second);
  });
});

it('gives tokens of a word that does not come out even the whole word', async () => {
  const tokenizer = await openTokenizer('fixtures/data/wordpiece.json', () => []);
  const found = tokenizer.pieces(UNKNOWN).map(({ from, to }) => UNKNOWN.slice(from, to));
  expect(new Set(found)).toEqual(new Set(UNKNOWN.split(' ')));
});

describe('characters and bytes', () => {
  it('stand where they are', async () => {
    const byte = await openTokenizer('byte', () => []);
    expect(byte.pieces('aé😀').map(({ from, to }) => [from, to])).toEqual([
      ...[
        [0, 1],
        [1, 2],
        [1, 2],
      ],
      ...new Array(4).fill([2, 4]),
    ]);
    expect(byte.decode(byte.ids('aé😀'))).toBe('aé😀');
    const char = await openTokenizer('char', () => ['aé😀']);
    expect(char.pieces('😀a').map(({ from, to }) => [from, to])).toEqual([
      [0, 2],
      [2, 3],
    ]);
    expect(char.decode(char.ids('é😀'))).toBe('é😀');
  });
});
