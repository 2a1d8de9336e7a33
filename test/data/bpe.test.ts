// Training of BPE against Python's tokenizers, see fixtures/data/make_tokenizers.py.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { trainBpe } from '../../src/data/bpe.ts';
import { openTokenizer } from '../../src/data/tokenizer.ts';
import { vocabularySize } from '../../src/data/tokenizer-file.ts';

const { texts, merges } = JSON.parse(readFileSync('fixtures/data/token-ids.json', 'utf8'));

async function* lines(list: readonly string[]) {
  yield* list;
}

describe('trainBpe', () => {
  it('finds the merges that Python finds', async () => {
    const options = { vocabulary: 700, special: ['<pad>', '</s>'] };
    const file = await trainBpe(lines(texts), options);
    expect(file.model.merges).toEqual(merges);
    expect(vocabularySize(file)).toBe(700);
    expect(file.added_tokens.map(({ id, content }) => [id, content])).toEqual([
      [0, '<pad>'],
      [1, '</s>'],
    ]);
  });

  it('writes what can be read: every text is spelt', async () => {
    const file = await trainBpe(lines(['low', 'low lower', 'a lower']), {
      vocabulary: 280,
      special: [],
    });
    const tokenizer = await openTokenizer(file, () => []);
    const tokens = new Map(Object.entries(file.model.vocab).map(([token, id]) => [id, token]));
    const spelt = (text: string) => tokenizer.ids(text).map((id) => tokens.get(id));
    expect(spelt('low lower')).toEqual(['low', 'Ġlower']);
    expect(spelt('low é')).toEqual(['low', 'Ġ', 'Ã', '©']);
  });

  it('ends where there is nothing more to merge', async () => {
    const file = await trainBpe(lines(['aaaa']), { vocabulary: 1000, special: [] });
    expect(file.model.merges).toEqual([
      ['a', 'a'],
      ['aa', 'aa'],
    ]);
  });
});
