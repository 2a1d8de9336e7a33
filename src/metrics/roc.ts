// Area under the receiver operating characteristic (Hanley and McNeil, 1982): the share of pairs of a
// positive and a negative in which the positive scores higher, ties counting half.

/** Samples sorted once, for many weightings of them. */
export class Roc {
  /** Samples by rising score. */
  readonly #order: Uint32Array;
  /** In that order: whether a sample is positive, and whether it scores as high as the one before. */
  readonly #isPositive: Uint8Array;
  readonly #isTied: Uint8Array;

  constructor(scores: ArrayLike<number>, isPositive: (sample: number) => boolean) {
    const score = (sample: number) => scores[sample] as number;
    const order = Uint32Array.from({ length: scores.length }, (_, i) => i);
    this.#order = order.sort((a, b) => score(a) - score(b));
    this.#isPositive = Uint8Array.from(order, (sample) => (isPositive(sample) ? 1 : 0));
    this.#isTied = Uint8Array.from(order, (sample, i) => {
      return i > 0 && score(sample) === score(order[i - 1] as number) ? 1 : 0;
    });
  }

  /** NaN without positives or without negatives. */
  area(weights: Float64Array): number {
    let [below, positives, pairs, tiedNegatives, tiedPositives] = [0, 0, 0, 0, 0];
    for (let i = 0; i < this.#order.length; i++) {
      if (this.#isTied[i] === 0) {
        pairs += tiedPositives * (below + tiedNegatives / 2);
        below += tiedNegatives;
        positives += tiedPositives;
        tiedNegatives = 0;
        tiedPositives = 0;
      }
      const weight = weights[this.#order[i] as number] as number;
      if (this.#isPositive[i] === 1) tiedPositives += weight;
      else tiedNegatives += weight;
    }
    pairs += tiedPositives * (below + tiedNegatives / 2);
    return pairs / ((positives + tiedPositives) * (below + tiedNegatives));
  }
}
