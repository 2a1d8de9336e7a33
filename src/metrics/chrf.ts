// chrF (Popović, 2015): F2 over n-grams of 1 to 6 characters, white space left out: sacreBLEU's defaults.

import { inCommon, ngrams, totalOf, wordsOf } from './text.ts';

const ORDERS = [1, 2, 3, 4, 5, 6] as const;
/** How much more recall counts than precision. */
const BETA = 2;

/** By order: n-grams of the translation, of the reference, in common. */
export type ChrfCounts = readonly number[];

/** Against the reference that is closest by chrF of the sentence. */
export function chrfCounts(translation: string, references: readonly string[]): ChrfCounts {
  const found = charactersOf(translation);
  const rows = references.map((reference) => {
    const wanted = charactersOf(reference);
    return ORDERS.flatMap((n) => {
      const [own, other] = [ngrams(found, n), ngrams(wanted, n)];
      // N-grams that the reference is too short for do not count against the translation.
      const total = other.size > 0 ? totalOf(own) : 0;
      return [total, totalOf(other), inCommon(own, other)];
    });
  });
  return rows.reduce((best, row) => (chrfScore(row) > chrfScore(best) ? row : best));
}

/** From counts summed over sentences; orders that one side has no n-grams of do not count. */
export function chrfScore(counts: ChrfCounts): number {
  let [precision, recall, orders] = [0, 0, 0];
  for (let i = 0; i < counts.length; i += 3) {
    const [found = 0, wanted = 0, common = 0] = counts.slice(i, i + 3);
    if (found === 0 || wanted === 0) continue;
    precision += common / found;
    recall += common / wanted;
    orders += 1;
  }
  if (precision + recall === 0) return 0;
  const share = ((1 + BETA ** 2) * precision * recall) / (BETA ** 2 * precision + recall);
  return (100 * share) / orders;
}

/** Code points, without white space. */
function charactersOf(text: string): string[] {
  return Array.from(wordsOf(text).join(''));
}
