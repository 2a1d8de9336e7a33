// The calibration data seen through a model that goes over it in stages: what lies between two stages
// is computed once and waits on disk, so that each part of the model is in memory by itself.

import type { Model } from '../graph/index.ts';
import type { Visit } from '../passes/quantize/context.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { loadModel } from '../runtime/runner.ts';
import { ScratchFile } from '../runtime/scratch.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { stream } from './collect.ts';

/** Feeds of all batches: those of the model, or the values of a stage's end. */
type Batches = () => AsyncIterable<Feeds>;

/** Models have their types inferred: what is given needs one. */
export class StagedData {
  readonly #session: SessionOptions;
  #batches: Batches;
  #given: readonly string[] | undefined;
  #file: ScratchFile | undefined;

  constructor(batches: Batches, session: SessionOptions) {
    this.#batches = batches;
    this.#session = session;
  }

  /** Shows values of the main graph that follow from the last stage's end, batch by batch. */
  async observe(model: Model, names: readonly string[], visit: Visit): Promise<void> {
    let batch = 0;
    await this.#stream(model, names, async (values) => {
      for (const name of names) await visit(name, values.get(name) as Tensor, batch);
      batch += 1;
    });
  }

  /** Computes these values, with weights as they are, and goes on from them alone. */
  async advance(model: Model, names: readonly string[]): Promise<void> {
    const file = new ScratchFile();
    const stored: Feeds[] = [];
    await this.#stream(model, names, async (values) => {
      const kept = names.map(async (name) => {
        const tensor = values.get(name) as Tensor;
        return [name, file.keep(tensor, await tensor.load())] as const;
      });
      stored.push(new Map(await Promise.all(kept)));
    });
    this.dispose();
    this.#file = file;
    this.#given = names;
    this.#batches = async function* () {
      yield* stored;
    };
  }

  dispose(): void {
    this.#file?.remove();
    this.#file = undefined;
  }

  /** Names may be given values, too. */
  async #stream(
    model: Model,
    names: readonly string[],
    visit: (values: Feeds) => Promise<void>,
  ): Promise<void> {
    const given = new Set(this.#given ?? model.graph.inputs.map(({ name }) => name));
    const made = names.filter((name) => !given.has(name));
    if (made.length === 0) {
      for await (const feeds of this.#batches()) await visit(feeds);
      return;
    }
    const loaded = await loadModel(model, this.#session, made, this.#given);
    try {
      await stream(loaded, this.#batches(), new Set(names), 0, visit);
    } finally {
      await loaded.dispose();
    }
  }
}
