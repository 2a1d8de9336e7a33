// Replay against forgetting: every step sees some samples of older data beside the new ones (Ratcliff
// 1990; Rebuffi et al. 2017 keep as many of each class). Chosen by seed and step alone, so that a run
// that was interrupted goes on with the samples it would have seen.

import { Random } from '../tensor/random.ts';
import type { Sampler, StepSamples } from './sampler.ts';

export class ReplaySampler implements StepSamples {
  readonly #own: Sampler;
  readonly #from: number;
  readonly #old: number;
  readonly #count: number;
  readonly #seed: number;
  #order: { readonly round: number; readonly samples: readonly number[] } | undefined;

  /**
   * Behind the samples that `own` chooses for a step stand `count` of the `old` ones, whose numbers
   * begin at `from`. Old samples come round and round, each time in another order.
   */
  constructor(own: Sampler, from: number, old: number, count: number, seed: number) {
    this.#own = own;
    this.#from = from;
    this.#old = old;
    this.#count = count;
    this.#seed = seed;
  }

  get stepsPerEpoch(): number {
    return this.#own.stepsPerEpoch;
  }

  epochOf(step: number): number {
    return this.#own.epochOf(step);
  }

  samples(step: number, count: number): readonly number[] {
    return Array.from({ length: count }, (_, i) => [
      ...this.#own.samples(step + i, 1),
      ...Array.from({ length: this.#count }, (_, j) => this.#oldAt((step + i) * this.#count + j)),
    ]).flat();
  }

  #oldAt(position: number): number {
    const round = Math.floor(position / this.#old);
    if (this.#order?.round !== round) {
      const random = new Random(this.#seed, `replay ${round}`);
      this.#order = { round, samples: random.permutation(this.#old) };
    }
    return this.#from + (this.#order.samples[position % this.#old] as number);
  }
}

/** `limit` samples by chance, as many of each label as there are, up to a difference of one. */
export function balanced(labels: readonly number[], limit: number, seed: number): number[] {
  const order = new Random(seed, 'buffer').permutation(labels.length);
  const seen = new Map<number, number>();
  const ranked = order.map((sample) => {
    const label = labels[sample] as number;
    const rank = seen.get(label) ?? 0;
    seen.set(label, rank + 1);
    return { sample, rank };
  });
  return ranked
    .sort((a, b) => a.rank - b.rank)
    .slice(0, limit)
    .map(({ sample }) => sample);
}
