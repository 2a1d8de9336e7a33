// Models with and without a cache generate the same. The models here are functions: the cache holds the
// tokens so far, and what comes next depends on all of them and on an input per sample.

import { describe, expect, it } from '@jest/globals';
import { beamSearch } from '../../src/generate/beam.ts';
import { greedy } from '../../src/generate/greedy.ts';
import { type DecoderInput, ModelDecoder } from '../../src/generate/model-decoder.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const VOCABULARY = 5;

/** Logits by tokens and sample. */
function logitsOf(tokens: readonly number[], sample: number): number[] {
  const random = new Random(sample, tokens.join());
  return Array.from({ length: VOCABULARY }, () => 2 * random.normal());
}

const row = (tensor: Tensor, index: number): number[] => {
  const size = tensor.size / (tensor.shape[0] ?? 1);
  return Array.from(elementsOf(tensor), Number).slice(index * size, (index + 1) * size);
};

const get = (feeds: Feeds, name: string): Tensor => feeds.get(name) as Tensor;

const COMMON: DecoderInput[] = [
  { name: 'input_ids', dtype: 'int64', shape: ['batch', 'tokens'] },
  { name: 'attention_mask', dtype: 'int64', shape: ['batch', 'total'] },
  { name: 'position_ids', dtype: 'int64', shape: ['batch', 'tokens'] },
  { name: 'encoder_hidden_states', dtype: 'float32', shape: ['batch', 1] },
];

const CACHE: DecoderInput[] = [
  { name: 'use_cache_branch', dtype: 'bool', shape: [1] },
  { name: 'past_key_values.0.decoder.key', dtype: 'float32', shape: ['batch', 1, 'past', 1] },
  { name: 'past_key_values.0.encoder.key', dtype: 'float32', shape: ['batch', 1, 'source', 1] },
];

async function run(feeds: Feeds): Promise<Feeds> {
  const ids = get(feeds, 'input_ids');
  const [rows = 0, length = 0] = ids.shape;
  const past = feeds.get('past_key_values.0.decoder.key');
  const isCached = feeds.has('use_cache_branch') && row(get(feeds, 'use_cache_branch'), 0)[0] === 1;
  const all = Array.from({ length: rows }, (_, i) => [
    ...(past ? row(past, i) : []),
    ...row(ids, i),
  ]);
  const total = all[0]?.length ?? 0;
  expect(get(feeds, 'attention_mask').shape).toEqual([rows, total]);
  expect(row(get(feeds, 'position_ids'), 0).at(-1)).toBe(total - 1);
  expect(length).toBe(isCached ? 1 : total);
  // A cached encoder is remembered; the branch that uses it gives nothing back.
  const source = isCached ? 'past_key_values.0.encoder.key' : 'encoder_hidden_states';
  const logits = all.flatMap((tokens, i) => [
    ...new Array(VOCABULARY * (length - 1)).fill(0),
    ...logitsOf(tokens, row(get(feeds, source), i)[0] ?? 0),
  ]);
  const results = new Map([['logits', Tensor.of('float32', [rows, length, VOCABULARY], logits)]]);
  if (!past) return results;
  const encoder = isCached ? [] : row(get(feeds, source).reshape([1, rows]), 0);
  return results
    .set('present.0.decoder.key', Tensor.of('float32', [rows, 1, total, 1], all.flat()))
    .set('present.0.encoder.key', Tensor.of('float32', [isCached ? 0 : rows, 1, 1, 1], encoder));
}

const context: Feeds = new Map([
  ['encoder_hidden_states', Tensor.of('float32', [3, 1], [10, 20, 30])],
]);
const make = (inputs: DecoderInput[]) => new ModelDecoder({ inputs, context, run });
const prompts = [[1], [1], [1]];

describe('a model with a cache', () => {
  it.each([1, 3])('generates what it does without, with %d beams', async (beams) => {
    const options = { beams, maxNewTokens: 8, eos: [0] };
    const plain = await beamSearch(make(COMMON), prompts, options);
    expect(await beamSearch(make([...COMMON, ...CACHE]), prompts, options)).toEqual(plain);
    expect(new Set(plain.map((tokens) => tokens.join())).size).toBe(3);
  });

  it('follows the rows that go on when others have ended', async () => {
    const options = { maxNewTokens: 8, eos: [0] };
    const plain = await greedy(make(COMMON), prompts, options);
    expect(await greedy(make([...COMMON, ...CACHE]), prompts, options)).toEqual(plain);
    const decoder = {
      step: async (rows: readonly (readonly number[])[], from: readonly number[]) => {
        expect(from).toEqual(rows.map((_, i) => i));
        return rows.map((tokens) => Float32Array.from(logitsOf(tokens, 20)));
      },
    };
    expect(await greedy(decoder, [[1]], options)).toEqual([plain[1]]);
  });

  it('needs logits', async () => {
    const decoder = new ModelDecoder({ inputs: COMMON, run: async () => context });
    await expect(decoder.step([[1]], [0])).rejects.toThrow('no output "logits"');
  });
});
