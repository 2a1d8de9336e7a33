// Searches against Hugging Face Transformers (make_generate.py) and against trying everything.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type BeamOptions, beamSearch } from '../../src/generate/beam.ts';
import { type Decoder, logTotal } from '../../src/generate/decoder.ts';
import { greedy } from '../../src/generate/greedy.ts';
import { Random } from '../../src/tensor/random.ts';

interface Case {
  readonly options: BeamOptions;
  readonly prompts: number[][];
  readonly table: number[];
  readonly expected: number[][];
}

const CASES: Case[] = JSON.parse(readFileSync('test/generate/generate.json', 'utf8'));

/** Logits of the next token by the last two, [V, V, V]. */
function tableDecoder(table: readonly number[]): Decoder {
  const size = Math.round(Math.cbrt(table.length));
  return {
    step: async (rows) =>
      rows.map((row) => {
        const first = ((row.at(-2) ?? 0) * size + (row.at(-1) ?? 0)) * size;
        return Float32Array.from(table.slice(first, first + size));
      }),
  };
}

describe('searches agree with Transformers', () => {
  it.each(CASES.map((row, i) => [i, JSON.stringify(row.options), row] as const))(
    'case %d: %s',
    async (_, _name, { options, prompts, table, expected }) => {
      expect(await beamSearch(tableDecoder(table), prompts, options)).toEqual(expected);
      if (options.beams > 1) return;
      expect(await greedy(tableDecoder(table), prompts, options)).toEqual(expected);
    },
  );
});

/** The best sequence of all there are, ended or cut off. */
async function tryAll(decoder: Decoder, prompt: readonly number[], options: BeamOptions) {
  const { maxNewTokens, eos, lengthPenalty = 1 } = options;
  let best = { tokens: [] as number[], score: Number.NEGATIVE_INFINITY };
  const visit = async (tokens: number[], sum: number): Promise<void> => {
    const end = (score: number, length: number) => {
      if (score / length ** lengthPenalty > best.score) {
        best = { tokens, score: score / length ** lengthPenalty };
      }
    };
    if (tokens.length === maxNewTokens) return end(sum, tokens.length);
    const [logits = new Float32Array()] = await decoder.step([[...prompt, ...tokens]], [0]);
    const total = logTotal(logits);
    for (const [token, logit] of logits.entries()) {
      if (eos.includes(token)) end(sum + logit - total, tokens.length + 1);
      else await visit([...tokens, token], sum + logit - total);
    }
  };
  await visit([], 0);
  return best.tokens;
}

it.each([0, 1, 2, 3, 4, 5])('a beam that holds all finds the best of all (%d)', async (seed) => {
  const random = new Random(seed, 'table');
  const table = Array.from({ length: 4 ** 3 }, () => 2 * random.normal());
  const decoder = tableDecoder(table);
  const lengthPenalty = [1, 0.5, 2][seed % 3] as number;
  const options = { beams: 4 ** 4, maxNewTokens: 4, eos: [0], lengthPenalty };
  const prompts = [
    [1, 2],
    [3, 3],
  ];
  const expected = await Promise.all(prompts.map((prompt) => tryAll(decoder, prompt, options)));
  expect(await beamSearch(decoder, prompts, options)).toEqual(expected);
});

it('asks nothing of a decoder once all has ended', async () => {
  let steps = 0;
  const decoder: Decoder = {
    step: async (rows) => {
      steps += 1;
      return rows.map(() => Float32Array.of(9, 0, 0));
    },
  };
  const options = { maxNewTokens: 50, eos: [0], beams: 1 };
  expect(await greedy(decoder, [[1], [2]], options)).toEqual([[], []]);
  expect(await beamSearch(decoder, [[1], [2]], options)).toEqual([[], []]);
  expect(steps).toBe(2);
});
