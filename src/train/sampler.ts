// Which samples a step sees: each epoch a new order of all samples, made from seed and epoch alone, so
// that a run that was interrupted goes on with exactly the samples it would have seen.

import { Random } from '../tensor/random.ts';

/** The samples of the steps of a run, by number. */
export interface StepSamples {
  readonly stepsPerEpoch: number;
  epochOf(step: number): number;
  /** Samples of `count` steps from `step` on, all of one epoch. */
  samples(step: number, count: number): readonly number[];
}

export class Sampler implements StepSamples {
  readonly #samples: number;
  readonly #batch: number;
  readonly #seed: number;
  #order: { readonly epoch: number; readonly samples: readonly number[] } | undefined;

  /** Steps see `batch` of `samples` samples; what is left of an epoch is left out of it. */
  constructor(samples: number, batch: number, seed: number) {
    this.#samples = samples;
    this.#batch = batch;
    this.#seed = seed;
  }

  get stepsPerEpoch(): number {
    return Math.floor(this.#samples / this.#batch);
  }

  epochOf(step: number): number {
    return Math.floor(step / this.stepsPerEpoch);
  }

  /** Samples of the steps from `step` on, all of one epoch. */
  samples(step: number, count: number): readonly number[] {
    const epoch = this.epochOf(step);
    const start = (step - epoch * this.stepsPerEpoch) * this.#batch;
    return this.#orderOf(epoch).slice(start, start + count * this.#batch);
  }

  #orderOf(epoch: number): readonly number[] {
    if (this.#order?.epoch !== epoch) {
      const random = new Random(this.#seed, `order of epoch ${epoch}`);
      this.#order = { epoch, samples: random.permutation(this.#samples) };
    }
    return this.#order.samples;
  }
}
