// Embeddings, in pairs: how their cosine similarity goes with graded similarity (Spearman, 1904), or,
// where there are no grades, how often the second of a pair is found among all by the first.

import { notANumber, scoredShapesDiffer } from '../errors/metrics.ts';
import {
  defined,
  type Evaluation,
  type Metrics,
  type Values,
  weightedMean,
  weightsOf,
} from './evaluation.ts';
import { MeansEvaluation } from './means.ts';

const CUTS = [1, 5, 10] as const;

/** Accumulates pairs of embeddings. */
export class Embed {
  readonly #cuts: readonly number[];
  /** Unit vectors, pair by pair. */
  readonly #left: Float32Array[] = [];
  readonly #right: Float32Array[] = [];
  readonly #similarities: number[] = [];
  readonly #grades: number[] = [];

  /** `cuts`: the k of recall@k. */
  constructor({ cuts = CUTS }: { readonly cuts?: readonly number[] } = {}) {
    this.#cuts = cuts;
  }

  /**
   * @param left embeddings [pairs, dimensions], and `right` of the same shape
   * @param grades how similar the pairs are, for all batches or none
   */
  add(
    left: ArrayLike<number>,
    right: ArrayLike<number>,
    shape: readonly number[],
    grades?: Values,
  ): void {
    const [pairs = 0] = shape;
    const hasGrades = this.#similarities.length === 0 || this.#grades.length > 0;
    const isGraded = grades?.length === pairs && hasGrades;
    const isBare = grades === undefined && this.#grades.length === 0;
    if (left.length !== right.length || !(isGraded || isBare)) {
      throw scoredShapesDiffer('embed', ['pairs', shape], ['grades', [grades?.length ?? 0]]);
    }
    const size = left.length / pairs;
    for (let pair = 0; pair < pairs; pair++) {
      const [a, b] = [unit(left, pair * size, size), unit(right, pair * size, size)];
      const similarity = dot(a, b);
      if (Number.isNaN(similarity)) throw notANumber('embed', this.#similarities.length);
      this.#similarities.push(similarity);
      if (grades) this.#grades.push(Number(grades[pair]));
      else {
        this.#left.push(Float32Array.from(a));
        this.#right.push(Float32Array.from(b));
      }
    }
  }

  finish(): Evaluation {
    if (this.#grades.length > 0) return new Correlation(this.#similarities, this.#grades);
    const ranks = this.#left.map((query, own) => {
      const similarities = this.#right.map((other) => dot(query, other));
      // What is as similar as the right one comes before it.
      return similarities.filter((value) => value >= (similarities[own] as number)).length;
    });
    const recalls = this.#cuts
      .filter((k) => k < ranks.length)
      .map((k) => [`recall_at_${k}`, ranks.map((rank) => (rank <= k ? 1 : 0))]);
    return new MeansEvaluation(ranks.length, Object.fromEntries(recalls));
  }
}

/** Spearman's correlation of two rankings of the same samples. */
export class Correlation implements Evaluation {
  readonly count: number;
  readonly #rankings: readonly [Ranking, Ranking];

  constructor(a: ArrayLike<number>, b: ArrayLike<number>) {
    this.count = a.length;
    this.#rankings = [new Ranking(a), new Ranking(b)];
  }

  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    const [a, b] = this.#rankings.map((ranking) => ranking.ranks(weights));
    return defined({ spearman: pearson(a as Float64Array, b as Float64Array, weights) });
  }
}

/** Samples sorted once; ranks for many weightings of them. */
class Ranking {
  readonly #order: Uint32Array;
  readonly #values: ArrayLike<number>;

  constructor(values: ArrayLike<number>) {
    this.#values = values;
    const value = (sample: number) => values[sample] as number;
    this.#order = Uint32Array.from({ length: values.length }, (_, i) => i).sort(
      (a, b) => value(a) - value(b),
    );
  }

  /** Ranks from 1; equal values share the mean of theirs. */
  ranks(weights: Float64Array): Float64Array {
    const ranks = new Float64Array(weights.length);
    let before = 0;
    for (let start = 0; start < this.#order.length; ) {
      const value = this.#values[this.#order[start] as number];
      let [end, tied] = [start, 0];
      for (; end < this.#order.length; end++) {
        const sample = this.#order[end] as number;
        if (this.#values[sample] !== value) break;
        tied += weights[sample] as number;
      }
      for (let i = start; i < end; i++) ranks[this.#order[i] as number] = before + (tied + 1) / 2;
      before += tied;
      start = end;
    }
    return ranks;
  }
}

/** NaN where one side does not vary. */
function pearson(a: Float64Array, b: Float64Array, weights: Float64Array): number {
  const [meanA, meanB] = [weightedMean(a, weights), weightedMean(b, weights)];
  let [both, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < weights.length; i++) {
    const [x, y] = [(a[i] as number) - meanA, (b[i] as number) - meanB];
    const weight = weights[i] as number;
    both += weight * x * y;
    squaresA += weight * x * x;
    squaresB += weight * y * y;
  }
  return both / Math.sqrt(squaresA * squaresB);
}

/** A vector of length 1; of nothing but zeros, zeros. */
function unit(values: ArrayLike<number>, from: number, size: number): Float64Array {
  const vector = Float64Array.from({ length: size }, (_, i) => values[from + i] as number);
  const length = Math.sqrt(dot(vector, vector));
  return length === 0 ? vector : vector.map((value) => value / length);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
