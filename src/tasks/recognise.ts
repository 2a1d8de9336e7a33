// What a model can be judged by, from what it gives and what the data has beside its inputs.

import type { Batch } from '../data/dataset.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { isTokenScores } from './lm.ts';
import { isClassScores } from './ports.ts';

/** The name of a task; undefined where it is not clear. */
export function recogniseTask(
  { feeds, targets, count }: Batch,
  outputs: Feeds,
): string | undefined {
  if (targets.has('truth') && targets.has('placement')) return 'detect';
  const all = [...targets.values()];
  const scores = [...outputs.values()].filter(isClassScores);
  const labels = all.find(({ size, dtype }) => size === count && dtype !== 'string');
  // Of a single score, only yes and no are classes.
  const most = scores[0]?.size === count ? 1 : Number.POSITIVE_INFINITY;
  const areClasses = labels?.numbers().every((one) => Number.isInteger(one) && one <= most);
  if (scores.length === 1 && areClasses) return 'classify';
  const [output, ...others] = outputs.values();
  if (!output || others.length > 0) return undefined;
  if (all.some(({ dtype, size }) => dtype !== 'string' && size === output.size)) return 'regress';
  const isTold = all.length === 0 || all.some(({ shape }) => shape.length === 2);
  const [fed] = feeds.values();
  return isTokenScores(output) && isTold && fed?.dtype === 'int64' ? 'lm' : undefined;
}
