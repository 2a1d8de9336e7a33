// A histogram of a stream whose range is not known before: a fixed number of bins over [-limit, limit),
// the limit a power of two that doubles when a value falls outside; bins then merge in pairs. What is
// counted does not depend on the order of the data, nor does the memory on its amount.

export const BINS = 8192;

export interface HistogramState {
  readonly limit: number;
  /** Pairs of bin and count, empty bins left out. */
  readonly counts: readonly (readonly [number, number])[];
}

export class Histogram {
  #limit = 0;
  readonly #counts = new Float64Array(BINS);

  get limit(): number {
    return this.#limit;
  }

  get counts(): Float64Array {
    return this.#counts;
  }

  /** Width of a bin; bin i begins at `i * width - limit`. */
  get width(): number {
    return (2 * this.#limit) / BINS;
  }

  /** `largest` is the greatest |value|; all values are finite. */
  add(values: ArrayLike<number>, largest: number): void {
    this.#reach(largest);
    const limit = this.#limit;
    const scale = BINS / (2 * limit);
    const counts = this.#counts;
    for (let i = 0; i < values.length; i++) {
      // In range by construction; the cast rounds towards zero, and nothing is below it.
      const bin = (((values[i] as number) + limit) * scale) | 0;
      counts[bin] = (counts[bin] as number) + 1;
    }
  }

  /** Doubles the limit until it is above `largest`. */
  #reach(largest: number): void {
    if (this.#limit === 0) this.#limit = 2 ** (Math.floor(Math.log2(largest || 2 ** -20)) + 1);
    while (largest >= this.#limit) {
      this.#limit *= 2;
      this.#mergePairs();
    }
  }

  /** The old range becomes the middle half. */
  #mergePairs(): void {
    const old = this.#counts.slice();
    this.#counts.fill(0);
    for (let i = 0; i < BINS; i++) {
      const bin = BINS / 4 + (i >> 1);
      this.#counts[bin] = (this.#counts[bin] as number) + (old[i] as number);
    }
  }

  save(): HistogramState {
    const counts: [number, number][] = [];
    this.#counts.forEach((count, bin) => void (count > 0 && counts.push([bin, count])));
    return { limit: this.#limit, counts };
  }

  static load({ limit, counts }: HistogramState): Histogram {
    const histogram = new Histogram();
    histogram.#limit = limit;
    for (const [bin, count] of counts) histogram.#counts[bin] = count;
    return histogram;
  }
}
