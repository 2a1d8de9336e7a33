// BLEU (Papineni et al. 2002) with the tokens of mteval-v13a and exponential smoothing (method 3 of Chen
// and Cherry, 2014): sacreBLEU's defaults.

import { inCommon, ngrams, totalOf, wordsOf } from './text.ts';

const ORDERS = [1, 2, 3, 4] as const;

/** Lengths of translation and reference, then matches by order, then n-grams by order. */
export type BleuCounts = readonly number[];

/** With several references an n-gram counts as often as in the one that has it most often. */
export function bleuCounts(translation: string, references: readonly string[]): BleuCounts {
  const found = tokens13a(translation);
  const wanted = references.map(tokens13a);
  const matches: number[] = [];
  const totals: number[] = [];
  for (const n of ORDERS) {
    const grams = ngrams(found, n);
    const most = new Map<string, number>();
    for (const reference of wanted) {
      for (const [gram, count] of ngrams(reference, n)) {
        most.set(gram, Math.max(count, most.get(gram) ?? 0));
      }
    }
    matches.push(inCommon(grams, most));
    totals.push(totalOf(grams));
  }
  const lengths = wanted.map((reference) => reference.length);
  return [found.length, closest(found.length, lengths), ...matches, ...totals];
}

/** The shorter one of two that are as close. */
function closest(length: number, lengths: readonly number[]): number {
  return lengths.reduce((best, other) => {
    const gain = Math.abs(best - length) - Math.abs(other - length);
    return gain > 0 || (gain === 0 && other < best) ? other : best;
  });
}

/** From counts summed over sentences. */
export function bleuScore([length = 0, wanted = 0, ...counts]: BleuCounts): number {
  const order = ORDERS.length;
  if (counts.slice(0, order).every((matches) => matches === 0)) return 0;
  let [smoothing, logs] = [1, 0];
  for (let i = 0; i < order; i++) {
    const [matches = 0, total = 0] = [counts[i], counts[order + i]];
    // No sentence is long enough for such n-grams: sacreBLEU has no precision, and no score, then.
    if (total === 0) return 0;
    if (matches === 0) smoothing *= 2;
    logs += Math.log((matches || 1 / smoothing) / total);
  }
  const brevity = length < wanted ? Math.exp(1 - wanted / length) : 1;
  return 100 * brevity * Math.exp(logs / order);
}

/** Words and punctuation as mteval-v13a separates them. */
export function tokens13a(text: string): string[] {
  const plain = text
    .trimEnd()
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>');
  const separated = ` ${plain} `
    // All ASCII punctuation but the apostrophe, comma, hyphen and full stop.
    .replace(/[ -&(-+/:-@[-`{-~]/gu, ' $& ')
    // Full stop and comma, unless a digit stands before, or after.
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    // A hyphen after a digit.
    .replace(/([0-9])(-)/gu, '$1 $2 ');
  return wordsOf(separated);
}
