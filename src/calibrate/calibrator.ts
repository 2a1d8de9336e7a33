// The calibration data seen through a model: ranges of values over all samples, or the values
// themselves. Ranges that were asked for before are not measured again.

import { noSamples } from '../errors/calibrate.ts';
import type { Model } from '../graph/index.ts';
import type { Calibration, Visit } from '../passes/quantize/context.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { loadModel } from '../runtime/runner.ts';
import type { Range } from '../tensor/affine.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { CalibrationCache } from './cache.ts';
import { Collection, stream } from './collect.ts';
import { type MethodOptions, needsHistogram, rangeOf } from './methods.ts';
import { type Summary, summarise } from './summary.ts';

export interface CalibratorOptions extends MethodOptions {
  /** What the user calls the data. */
  readonly data: string;
  readonly batches: () => AsyncIterable<Feeds>;
  readonly session: SessionOptions;
  readonly cache?: CalibrationCache | undefined;
  /** Called after every batch. */
  readonly onBatch?: () => void;
}

export function makeCalibration(options: CalibratorOptions): Calibration {
  const known = new Map<string, ReadonlyMap<string, Range>>();
  return {
    async ranges(model, names) {
      const key = [...names].sort().join('\n') + weightsKey(model);
      const found = known.get(key) ?? (await measure(model, names, options));
      known.set(key, found);
      return found;
    },
    observe: (model, names, visit, limit) => observe(model, names, visit, limit, options),
  };
}

/** Tensors are immutable: other weights are other tensors. */
function weightsKey(model: Model): string {
  return [...model.graph.initializers]
    .map(({ name, data }) => `${name}:${data ? identityOf(data) : ''}`)
    .join(',');
}

const identities = new WeakMap<object, number>();
let counter = 0;

function identityOf(tensor: object): number {
  const known = identities.get(tensor);
  if (known !== undefined) return known;
  counter += 1;
  identities.set(tensor, counter);
  return counter;
}

async function measure(
  model: Model,
  names: readonly string[],
  options: CalibratorOptions,
): Promise<ReadonlyMap<string, Range>> {
  const { cache } = options;
  const withHistogram = needsHistogram(options.method);
  const entry = await cache?.open(model, names, withHistogram);
  const collection = new Collection(names, withHistogram, entry?.progress);
  if (!entry?.complete) {
    const save = (complete: boolean) => entry?.save(collection.save(), complete);
    const stop = cache?.saveOnExit(() => save(false));
    const summary = withHistogram ? undefined : summarise(model, names);
    const loaded = await open(model, names, summary, options);
    const fetch = (feeds: Feeds) => (wanted: readonly string[]) =>
      fetchOnce(model, wanted, feeds, options);
    try {
      await stream(
        loaded,
        options.batches(),
        new Set(names),
        collection.batches,
        async (values, feeds) => {
          if (summary) await collection.addSummary(model, values, summary, fetch(feeds));
          else collection.add(model, values);
          options.onBatch?.();
          if (cache?.isDue()) save(false);
        },
      );
    } finally {
      stop?.();
      await loaded.dispose();
    }
    if (collection.batches === 0) throw noSamples(options.data);
    save(true);
  }
  return new Map([...collection.seen()].map(([name, seen]) => [name, rangeOf(seen, options)]));
}

/** A session that makes the summary and what it leaves out, or all values. */
async function open(
  model: Model,
  names: readonly string[],
  summary: Summary | undefined,
  options: CalibratorOptions,
) {
  if (!summary || summary.outputs.size === 0) {
    return (await fetchable(model, names, options)).loaded;
  }
  const inputs = new Set(model.graph.inputs.map(({ name }) => name));
  const others = names.filter((name) => !inputs.has(name) && !summary.outputs.has(name));
  return loadModel(summary.model, options.session, [
    ...[...summary.outputs.values()].flat(),
    ...others,
  ]);
}

/** The values themselves, of one batch. */
async function fetchOnce(
  model: Model,
  names: readonly string[],
  feeds: Feeds,
  options: CalibratorOptions,
): Promise<Feeds> {
  const { loaded } = await fetchable(model, names, options);
  try {
    return await loaded.run(feeds);
  } finally {
    await loaded.dispose();
  }
}

/** A session that makes what of the names is made by nodes; inputs are at hand anyway. */
async function fetchable(model: Model, names: readonly string[], options: CalibratorOptions) {
  const inputs = new Set(model.graph.inputs.map(({ name }) => name));
  const made = names.filter((name) => !inputs.has(name));
  const all = made.length > 0 ? made : model.graph.outputs.map(({ name }) => name);
  return { loaded: await loadModel(model, options.session, all) };
}

async function observe(
  model: Model,
  names: readonly string[],
  visit: Visit,
  limit: number | undefined,
  options: CalibratorOptions,
): Promise<void> {
  const { loaded } = await fetchable(model, names, options);
  const wanted = new Set(names);
  let batch = 0;
  try {
    await stream(loaded, atMost(options.batches(), limit), wanted, 0, async (values) => {
      for (const [name, tensor] of values) if (wanted.has(name)) await visit(name, tensor, batch);
      batch += 1;
    });
  } finally {
    await loaded.dispose();
  }
}

async function* atMost(batches: AsyncIterable<Feeds>, limit = Infinity): AsyncIterable<Feeds> {
  let left = limit;
  if (left <= 0) return;
  for await (const feeds of batches) {
    yield feeds;
    left -= 1;
    if (left <= 0) return;
  }
}
