// Language models: the loss of each next token, or of the tokens that labels ask for.

import type { Batch } from '../data/dataset.ts';
import { noTarget } from '../errors/eval.ts';
import { LanguageModel, tokenScores } from '../metrics/lm.ts';
import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { numbersOf, pickOutput } from './ports.ts';
import type { Task } from './task.ts';

export const lm: Task = {
  name: 'lm',
  main: 'loss',
  shown: ['loss', 'perplexity', 'bits_per_byte', 'accuracy'],
  collector({ dataset, options }) {
    const scores = new LanguageModel();
    return {
      async add(batch, run) {
        const outputs = await run(batch.feeds);
        const logits = pickOutput(outputs, options.output, isTokenScores);
        const [, length = 1, vocabulary = 1] = logits.shape;
        const wanted = wantedTokens(batch, length);
        const values = elementsOf(logits) as Float32Array;
        const bytes = dataset.decode && bytesOf(wanted, length, dataset.decode);
        const told = tokenScores(values, vocabulary, wanted);
        scores.add({ ...told, ...(bytes ? { bytes } : {}) }, [batch.count, length]);
      },
      finish: () => scores.finish(),
    };
  },
};

/** Bytes of the text that the tokens to be told stand for, per sample. */
function bytesOf(
  wanted: Int32Array,
  length: number,
  decode: (ids: readonly number[]) => string,
): number[] {
  return Array.from({ length: wanted.length / length }, (_, row) => {
    const ids = wanted.subarray(row * length, (row + 1) * length).filter((id) => id >= 0);
    // Bytes at the ends of a window may be parts of a character.
    return Buffer.byteLength(decode([...ids]).replaceAll('\ufffd', '?'));
  });
}

/** [N, S, V] */
export function isTokenScores(tensor: Tensor): boolean {
  return tensor.shape.length === 3 && isFloat(tensor.dtype);
}

/** Per place the token to be told there, -100 for none: labels, or the ids moved by one. */
function wantedTokens({ feeds, targets, count }: Batch, length: number): Int32Array {
  const labels = targets.get('labels');
  if (labels && labels.size === (labels.shape[0] ?? 1) * length) {
    return Int32Array.from(numbersOf(labels));
  }
  const ids = [...feeds].find(([name]) => /ids|tokens/i.test(name) && !/type|position/i.test(name));
  const found = ids?.[1] ?? [...feeds.values()].find(({ shape }) => shape[1] === length);
  if (!found) throw noTarget('lm', [...targets.keys()]);
  const mask = [...feeds].find(([name]) => /attention_mask/i.test(name))?.[1];
  const real = mask && numbersOf(mask);
  const tokens = numbersOf(found);
  return Int32Array.from({ length: count * length }, (_, i) => {
    const isLast = i % length === length - 1;
    return isLast || real?.[i + 1] === 0 ? -100 : (tokens[i + 1] as number);
  });
}
