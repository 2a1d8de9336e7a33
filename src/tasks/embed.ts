// Embeddings: samples come in pairs, one after the other. With grades (labels of the first of each pair)
// their similarity is held against them; without, the second is to be found by the first.

import { usageProblem } from '../errors/usage.ts';
import { Embed } from '../metrics/embed.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { isFloatOutput, numbersOf, pickOutput, rowsOf } from './ports.ts';
import type { Task } from './task.ts';

export const embed: Task = {
  name: 'embed',
  main: 'spearman',
  shown: ['spearman', 'recall_at_1', 'recall_at_5', 'recall_at_10'],
  collector({ options }) {
    const scores = new Embed({ cuts: [...new Set([1, 5, 10, options.topK])] });
    let waiting: { readonly vector: Float64Array; readonly grade: number | undefined } | undefined;
    return {
      async add(batch, run) {
        const output = pickOutput(await run(batch.feeds), options.output, isVector);
        const vectors = pooled(output, batch.feeds, batch.count);
        const labels = batch.targets.get('labels');
        const grades = labels && numbersOf(labels);
        vectors.forEach((vector, i) => {
          if (!waiting) {
            waiting = { vector, grade: grades?.[i] };
            return;
          }
          const { vector: left, grade } = waiting;
          const own = grade === undefined ? undefined : [grade];
          scores.add(left, vector, [1, vector.length], own);
          waiting = undefined;
        });
      },
      finish() {
        if (waiting) throw usageProblem('task embed takes pairs, and there is one sample too many');
        return scores.finish();
      },
    };
  },
};

/** [N, D], or [N, S, D] of tokens. */
function isVector(tensor: Tensor): boolean {
  return isFloatOutput(tensor) && (tensor.shape.length === 2 || tensor.shape.length === 3);
}

/** One vector per sample: of tokens the mean of those that the attention mask lets count. */
function pooled(output: Tensor, feeds: Feeds, count: number): Float64Array[] {
  const values = rowsOf(output, count);
  const [, tokens = 1, size = 1] =
    output.shape.length === 3 ? output.shape : [0, 1, ...output.shape.slice(1)];
  const mask = [...feeds].find(([name]) => /attention_mask/i.test(name))?.[1];
  const real = mask && numbersOf(mask);
  return Array.from({ length: count }, (_, i) => {
    const sum = new Float64Array(size);
    for (let t = 0; t < tokens; t++) {
      if (tokens > 1 && real?.[i * tokens + t] === 0) continue;
      for (let d = 0; d < size; d++) {
        sum[d] = (sum[d] as number) + (values[(i * tokens + t) * size + d] as number);
      }
    }
    return sum;
  });
}
