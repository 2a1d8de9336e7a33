// Area under the receiver operating characteristic (Hanley and McNeil, 1982): the share of pairs of a
// positive and a negative in which the positive scores higher, ties counting half.

/** The order of samples by score, kept for many weightings of the same samples. */
export class Roc {
  /** Samples by rising score. */
  readonly #order: Uint32Array;
  readonly #scores: ArrayLike<number>;
  readonly #isPositive: (sample: number) => boolean;

  constructor(scores: ArrayLike<number>, isPositive: (sample: number) => boolean) {
    this.#scores = scores;
    this.#isPositive = isPositive;
    this.#order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort(
      (a, b) => (scores[a] as number) - (scores[b] as number),
    );
  }

  /** NaN without positives or without negatives. */
  area(weights: Float64Array): number {
    let [below, positives, pairs] = [0, 0, 0];
    for (let start = 0; start < this.#order.length; ) {
      const score = this.#scores[this.#order[start] as number];
      let [tied, tiedPositives] = [0, 0];
      let end = start;
      for (; end < this.#order.length; end++) {
        const sample = this.#order[end] as number;
        if (this.#scores[sample] !== score) break;
        if (this.#isPositive(sample)) tiedPositives += weights[sample] as number;
        else tied += weights[sample] as number;
      }
      pairs += tiedPositives * (below + tied / 2);
      below += tied;
      positives += tiedPositives;
      start = end;
    }
    return pairs / (positives * below);
  }
}
