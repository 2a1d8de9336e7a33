// One pass over the data: every value that is asked for is fetched batch by batch, taken in by its
// observer and forgotten. While a batch is counted the next one runs.

import { notFinite } from '../errors/calibrate.ts';
import type { Model } from '../graph/index.ts';
import type { LoadedModel } from '../runtime/runner.ts';
import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Observer, type ObserverState } from './observer.ts';
import { extremesOf, type Summary } from './summary.ts';

export interface Progress {
  /** Batches that have been taken in. */
  readonly batches: number;
  readonly observers: Readonly<Record<string, ObserverState>>;
}

export class Collection {
  readonly #observers: Map<string, Observer>;
  #batches: number;

  constructor(names: readonly string[], withHistogram: boolean, from?: Progress) {
    this.#batches = from?.batches ?? 0;
    this.#observers = new Map(
      names.map((name) => {
        const state = from?.observers[name];
        return [name, state ? Observer.load(state) : new Observer(withHistogram)];
      }),
    );
  }

  get batches(): number {
    return this.#batches;
  }

  /** Takes in one batch; values of other than float types are passed over. */
  add(model: Model, values: Feeds): void {
    for (const [name, tensor] of values) {
      const observer = this.#observers.get(name);
      if (!observer || !isFloat(tensor.dtype)) continue;
      if (!observer.add(numbersOf(tensor)))
        throw notFinite(name, makerOf(model, name), this.#batches);
    }
    this.#batches += 1;
  }

  /** Takes in one batch of which a summary was made; what is not finite there is fetched and looked at. */
  async addSummary(
    model: Model,
    values: Feeds,
    { outputs }: Summary,
    fetch: (names: readonly string[]) => Promise<Feeds>,
  ): Promise<void> {
    const doubtful: string[] = [];
    for (const [name, numbers] of outputs) {
      const extremes = extremesOf(values, numbers);
      if (extremes) this.#observers.get(name)?.addExtremes(extremes);
      else doubtful.push(name);
    }
    const rest = [...values].filter(([name]) => this.#observers.has(name) && !outputs.has(name));
    const fetched = doubtful.length > 0 ? await fetch(doubtful) : [];
    this.add(model, new Map([...rest, ...fetched]));
  }

  /** Observers of values that were seen. */
  *seen(): Generator<[string, Observer]> {
    for (const [name, observer] of this.#observers) if (!observer.isEmpty) yield [name, observer];
  }

  save(): Progress {
    const observers = [...this.seen()].map(([name, observer]) => [name, observer.save()] as const);
    return { batches: this.#batches, observers: Object.fromEntries(observers) };
  }
}

function numbersOf(tensor: Tensor): ArrayLike<number> {
  return elementsOf(tensor) as ArrayLike<number>;
}

function makerOf(model: Model, name: string): string | undefined {
  for (const node of model.graph.nodes) {
    if (node.outputs.some((value) => value.name === name)) return node.describe();
  }
  return undefined;
}

/** Runs every batch from `skip` on, handing over fetched values and fed inputs of these names. */
export async function stream(
  loaded: LoadedModel,
  batches: AsyncIterable<Feeds>,
  names: ReadonlySet<string>,
  skip: number,
  visit: (values: Feeds, feeds: Feeds) => void | Promise<void>,
): Promise<void> {
  let index = 0;
  let running: Promise<Feeds> | undefined;
  let fed: Feeds = new Map();
  try {
    for await (const feeds of batches) {
      index += 1;
      if (index <= skip) continue;
      const before = await running;
      const given = fed;
      running = runOne(loaded, feeds, names);
      fed = feeds;
      if (before) await visit(before, given);
    }
    const last = await running;
    running = undefined;
    if (last) await visit(last, fed);
  } finally {
    // What still runs must end before the session does, whatever has gone wrong meanwhile.
    await running?.catch(() => undefined);
  }
}

async function runOne(
  loaded: LoadedModel,
  feeds: Feeds,
  names: ReadonlySet<string>,
): Promise<Feeds> {
  const fed = [...feeds].filter(([name]) => names.has(name));
  return new Map([...fed, ...(await loaded.run(feeds))]);
}
