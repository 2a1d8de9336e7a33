// Which samples are taken: a part, so many of each class, so many in all.

import { classLabelsMissing } from '../errors/data.ts';
import { elementsOf } from '../tensor/elements.ts';
import { Random } from '../tensor/random.ts';
import type { DataOptions } from './options.ts';
import type { ArraySource } from './source.ts';

/**
 * Split, then limits: with the same seed, the two parts never meet, whatever the limits.
 *
 * @param labels of all samples, for `limitPerClass`
 */
export async function chooseSamples(
  count: number,
  options: DataOptions,
  labels?: ArraySource,
): Promise<number[]> {
  let order = Array.from({ length: count }, (_, i) => i);
  if (options.split !== undefined) {
    const shuffled = new Random(options.seed, 'split').permutation(count);
    const cut = Math.round(count * options.split);
    order = options.part === 'rest' ? shuffled.slice(cut) : shuffled.slice(0, cut);
  }
  const { limitPerClass } = options;
  if (limitPerClass !== undefined) {
    const classes = await classesOf(labels, count);
    const seen = new Map<string, number>();
    order = order.filter((sample) => {
      const name = classes[sample] as string;
      const before = seen.get(name) ?? 0;
      seen.set(name, before + 1);
      return before < limitPerClass;
    });
  }
  return options.limit === undefined ? order : order.slice(0, options.limit);
}

/** Samples, in their order, that are as good as all: no more than `limit` will be taken. */
export function enoughOf({ split, limitPerClass, limit }: DataOptions): number | undefined {
  return split === undefined && limitPerClass === undefined ? limit : undefined;
}

/** The class of each sample, as text. */
async function classesOf(labels: ArraySource | undefined, count: number): Promise<string[]> {
  const [, ...sample] = labels?.shape ?? [0, 0];
  const isOne = sample.every((size) => size === 1);
  if (!labels || !isOne || labels.dtype === 'string') throw classLabelsMissing();
  const all = await labels.rows(Array.from({ length: count }, (_, i) => i));
  return Array.from(elementsOf(all) as ArrayLike<number | bigint>, String);
}

/** What was chosen, in words. */
export function describeChoice(options: DataOptions): string[] {
  const { split, part, limit, limitPerClass, seed } = options;
  return [
    ...(split === undefined ? [] : [`part ${part ?? 'train'} of train=${split}, seed ${seed}`]),
    ...(limitPerClass === undefined ? [] : [`first ${limitPerClass} of each class`]),
    ...(limit === undefined ? [] : [`first ${limit}`]),
  ];
}
