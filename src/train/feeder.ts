// Data for the training graph: samples in the sampler's order, stacked step by step, with the targets
// that the objective asks for. What an objective does to its samples (masked tokens, two views) is
// decided by seed and step alone.

import type { Batch, Dataset } from '../data/dataset.ts';
import { concatenate } from '../tensor/concatenate.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { Tensor } from '../tensor/tensor.ts';
import { STEP } from './dropout.ts';
import { REAL } from './evaluation.ts';
import { type Masking, maskTokens } from './masking.ts';
import type { TargetSpec } from './objectives/objective.ts';
import { BOUNDARY, DROP, type InputOf, PRUNE, RATE, SCALE_RATE, SHRINK, SPARSITY } from './plan.ts';
import type { StepSamples } from './sampler.ts';
import { targetOf } from './targets.ts';

export interface FeederOptions {
  readonly dataset: Required<Pick<Dataset, 'take'>>;
  /** Inputs of the graph, of one step. */
  readonly inputs: readonly InputOf[];
  readonly targets: readonly TargetSpec[];
  readonly seed: number;
  /** Two views of each sample stand in a batch. */
  readonly isPaired?: boolean | undefined;
  /** Tokens are hidden. */
  readonly masking?: Masking | undefined;
  /** What else is known of samples, by input: answers of teachers. */
  readonly beside?: ((samples: readonly number[], epoch: number) => Promise<Feeds>) | undefined;
}

/** The seed of the augmentation of an epoch; the next number is that of a second view. */
export function augmentSeed(seed: number, epoch: number): number {
  return seed * 1_000_003 + 2 * epoch;
}

const PREFIX = 'target/';
const OWN = new Set([RATE, BOUNDARY, REAL, SPARSITY, PRUNE, DROP, SCALE_RATE, SHRINK, STEP]);

export class Feeder {
  readonly #options: FeederOptions;

  constructor(options: FeederOptions) {
    this.#options = options;
  }

  /** Stacked inputs of the steps from `step` on; augmented anew in each epoch. */
  async training(sampler: StepSamples, step: number, count: number): Promise<Feeds> {
    const { dataset, seed, isPaired, beside } = this.#options;
    const samples = sampler.samples(step, count);
    const epoch = sampler.epochOf(step);
    const augment = augmentSeed(seed, epoch);
    if (!isPaired) {
      const batch = await dataset.take(samples, { augment });
      const more = (await beside?.(samples, epoch)) ?? [];
      const feeds = new Map([...batch.feeds, ...more]);
      return this.#stack({ ...batch, feeds }, samples, count, step);
    }
    const views = [
      await dataset.take(samples, { augment }),
      await dataset.take(samples, { augment: augment + 1 }),
    ];
    return this.#stack(interleave(views as [Batch, Batch], count), samples, count, step);
  }

  /** Stacked inputs of batches `from` … of an evaluation; the last one is filled up. */
  async evaluation(length: number, batch: number, from: number, count: number): Promise<Feeds> {
    const { dataset, isPaired } = this.#options;
    const rows = isPaired ? batch / 2 : batch;
    const all = Array.from({ length: rows * count }, (_, i) => from * rows + i);
    const samples = all.map((sample) => Math.min(sample, length - 1));
    const taken = await dataset.take(samples);
    const pair = () => interleave([taken, taken], count);
    const given = isPaired ? pair() : taken;
    const feeds = new Map(await this.#stack(given, samples, count, -1 - from));
    const real = Float32Array.from({ length: batch * count }, (_, i) => {
      const inStep = (i % batch) % rows;
      return from * rows + Math.floor(i / batch) * rows + inStep < length ? 1 : 0;
    });
    return feeds.set(REAL, Tensor.of('float32', [count, batch], real));
  }

  async #stack(
    given: Batch,
    samples: readonly number[],
    count: number,
    step: number,
  ): Promise<Feeds> {
    const { inputs, targets, masking } = this.#options;
    const batch = masking ? maskTokens(given, masking, this.#seeds(step, count)) : given;
    const specs = new Map(targets.map((spec) => [`${PREFIX}${spec.name}`, spec]));
    const feeds = new Map<string, Tensor>();
    for (const { name, shape } of inputs) {
      if (OWN.has(name)) continue;
      const spec = specs.get(name);
      const tensor = spec ? targetOf(spec, batch.targets, samples) : batch.feeds.get(name);
      if (tensor) feeds.set(name, tensor.reshape([count, ...shape]));
    }
    return feeds;
  }

  /** Of steps, which begin at 0; batches of an evaluation go down from -1. */
  #seeds(step: number, count: number): string[] {
    const way = step < 0 ? -1 : 1;
    return Array.from({ length: count }, (_, i) => `${this.#options.seed}/${step + way * i}`);
  }
}

/** Per step: all first views, then all second ones. */
function interleave([a, b]: readonly [Batch, Batch], steps: number): Batch {
  const feeds = new Map<string, Tensor>();
  for (const [name, first] of a.feeds) {
    const second = b.feeds.get(name) as Tensor;
    feeds.set(name, concatenate(first, second, steps));
  }
  return { feeds, targets: a.targets, count: a.count + b.count };
}
