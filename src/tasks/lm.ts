// Language models: the loss of each next token, or of the tokens that labels ask for.

import type { Batch } from '../data/dataset.ts';
import { noTarget } from '../errors/eval.ts';
import { LanguageScores } from '../metrics/language.ts';
import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { numbersOf, pickOutput } from './ports.ts';
import type { Task } from './task.ts';

export const lm: Task = {
  name: 'lm',
  main: 'loss',
  shown: ['loss', 'perplexity', 'bits_per_byte', 'token_accuracy'],
  collector({ options }) {
    const scores = new LanguageScores();
    return {
      async add(batch, run) {
        const outputs = await run(batch.feeds);
        const logits = pickOutput(outputs, options.output, isTokenScores);
        const [, length = 1] = logits.shape;
        const wanted = wantedTokens(batch, length);
        const bytes = batch.targets.get('bytes');
        const byteCounts = bytes && numbersOf(bytes);
        for (let i = 0; i < batch.count; i++) {
          const row = wanted.subarray(i * length, (i + 1) * length);
          scores.add({ ...tokenSums(logits, i, row), bytes: byteCounts?.[i] });
        }
      },
      finish: () => scores.finish(),
    };
  },
};

/** [N, S, V] */
function isTokenScores(tensor: Tensor): boolean {
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

/** -ln softmax of the wanted tokens of one sample. */
function tokenSums(logits: Tensor, sample: number, wanted: Int32Array) {
  const [, length = 1, vocab = 1] = logits.shape;
  const values = elementsOf(logits) as Float32Array;
  let [loss, tokens, hits] = [0, 0, 0];
  wanted.forEach((token, place) => {
    if (token < 0) return;
    const start = (sample * length + place) * vocab;
    const row = values.subarray(start, start + vocab);
    let best = 0;
    for (let v = 1; v < vocab; v++) if ((row[v] as number) > (row[best] as number)) best = v;
    const top = row[best] as number;
    let sum = 0;
    for (let v = 0; v < vocab; v++) sum += Math.exp((row[v] as number) - top);
    loss += Math.log(sum) + top - (row[token] as number);
    tokens += 1;
    if (best === token) hits += 1;
  });
  return { loss, tokens, hits };
}
