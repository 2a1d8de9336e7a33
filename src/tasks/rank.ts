// Ranking: scores of all items for a query, against the one item that is right or against gains.

import { Rank } from '../metrics/rank.ts';
import { isClassScores, pickOutput, pickTarget, rowsOf } from './ports.ts';
import type { Task } from './task.ts';

export const rank: Task = {
  name: 'rank',
  main: 'ndcg_at_10',
  shown: ['ndcg_at_10', 'hit_rate_at_10', 'hit_rate_at_1', 'mrr'],
  collector({ options }) {
    const scores = new Rank({ cuts: [...new Set([1, 5, 10, options.topK])] });
    return {
      async add(batch, run) {
        const output = pickOutput(await run(batch.feeds), options.output, isClassScores);
        const found = rowsOf(output, batch.count);
        const target = rowsOf(pickTarget(batch, 'rank'), batch.count);
        const items = found.length / batch.count;
        const isItem = target.length === batch.count && items > 1;
        const gains = isItem
          ? Float64Array.from(found, (_, i) => +(target[Math.floor(i / items)] === i % items))
          : target;
        scores.add(found, [batch.count, items], gains);
      },
      finish: () => scores.finish(),
    };
  },
};
