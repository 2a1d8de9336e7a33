// Ranking and recommendation: where among the items of a query the relevant ones come.

import { notANumber, scoredShapesDiffer } from '../errors/metrics.ts';
import type { Evaluation, Values } from './evaluation.ts';
import { MeansEvaluation } from './means.ts';

const CUTS = [1, 5, 10] as const;

/** Accumulates scores and relevance of the items of queries. */
export class Rank {
  readonly #cuts: readonly number[];
  readonly #values: Record<string, number[]>;
  #count = 0;

  /** `cuts`: the k of hit rate@k and NDCG@k. */
  constructor({ cuts = CUTS }: { readonly cuts?: readonly number[] } = {}) {
    this.#cuts = cuts;
    const names = cuts.flatMap((k) => [`hit_rate_at_${k}`, `ndcg_at_${k}`]);
    this.#values = Object.fromEntries([...names, 'mrr'].map((name) => [name, []]));
  }

  /**
   * @param scores [queries, items]
   * @param relevance gains [queries, items], 0 for items that are not relevant
   */
  add(scores: ArrayLike<number>, shape: readonly number[], relevance: Values): void {
    const [queries = 0, items = 0] = shape;
    if (scores.length !== queries * items || relevance.length !== scores.length) {
      throw scoredShapesDiffer('rank', ['scores', shape], ['relevance', [relevance.length]]);
    }
    for (let query = 0; query < queries; query++) {
      const at = (i: number) => query * items + i;
      const own = Float64Array.from({ length: items }, (_, i) => scores[at(i)] as number);
      const gains = Float64Array.from({ length: items }, (_, i) => Number(relevance[at(i)]));
      if (own.some(Number.isNaN)) throw notANumber('rank', this.#count);
      this.#addQuery(own, gains);
    }
  }

  /** A query without relevant items says nothing: its values are NaN. */
  #addQuery(scores: Float64Array, gains: Float64Array): void {
    this.#count += 1;
    const isVoid = gains.every((gain) => gain <= 0);
    const rank = firstRelevant(scores, gains);
    this.#values['mrr']?.push(isVoid ? Number.NaN : 1 / rank);
    const ideal = gains.slice().sort().reverse();
    for (const k of this.#cuts) {
      const hit = rank <= k ? 1 : 0;
      this.#values[`hit_rate_at_${k}`]?.push(isVoid ? Number.NaN : hit);
      this.#values[`ndcg_at_${k}`]?.push(gain(scores, gains, k) / gain(ideal, ideal, k));
    }
  }

  finish(): Evaluation {
    return new MeansEvaluation(this.#count, this.#values);
  }
}

/** Rank of the best relevant item, from 1; others that score as high come before it. */
function firstRelevant(scores: Float64Array, gains: Float64Array): number {
  const best = scores.reduce((most, score, i) => {
    return (gains[i] as number) > 0 ? Math.max(most, score) : most;
  }, Number.NEGATIVE_INFINITY);
  const before = scores.filter((score, i) => score >= best && (gains[i] as number) <= 0);
  return before.length + 1;
}

/**
 * Discounted cumulative gain of the first k (Järvelin and Kekäläinen, 2002), gains as they are; items
 * of equal score share the mean of their gains (McSherry and Najork, 2008).
 */
function gain(scores: Float64Array, gains: Float64Array, k: number): number {
  const order = Array.from(scores.keys()).sort(
    (a, b) => (scores[b] as number) - (scores[a] as number),
  );
  let sum = 0;
  for (let start = 0; start < Math.min(k, order.length); ) {
    const tied = order.filter((item) => scores[item] === scores[order[start] as number]);
    const mean = tied.reduce((total, item) => total + (gains[item] as number), 0) / tied.length;
    for (let i = start; i < Math.min(k, start + tied.length); i++) sum += mean / Math.log2(i + 2);
    start += tied.length;
  }
  return sum;
}
