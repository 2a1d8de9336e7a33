// Runs a model and shows chosen inner values, in groups that fit a memory budget: each group is the
// part of the model that its values depend on, in a session of its own. Serves comparisons layer by
// layer and calibration.

import { isStatic, type Model, tensorType, type Value } from '../graph/index.ts';
import { inferTypes } from '../ops/index.ts';
import { byteLengthOf, elementCount } from '../tensor/dtype.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { SessionOptions } from './options.ts';
import { COMPARABLE, loadModel } from './runner.ts';

export interface ObserveOptions {
  /** Bytes of observed values held at once. Default: 256 MB. */
  readonly budget?: number;
  readonly session?: SessionOptions;
}

/** What one value was in one set of feeds. Its tensor is free to go after the call. */
export type Visit = (name: string, tensor: Tensor, sample: number) => void | Promise<void>;

const BUDGET_BYTES = 256e6;
/** Values of unknown size are taken to be this big. */
const UNKNOWN_BYTES = 8e6;

/**
 * Visits the values `names` for each set of feeds, group by group: all sets of the first group come
 * before the second group.
 */
export async function observe(
  model: Model,
  feeds: readonly Feeds[] | (() => AsyncIterable<Feeds>),
  names: readonly string[],
  visit: Visit,
  options: ObserveOptions = {},
): Promise<void> {
  const sizes = valueBytes(model, await firstOf(feeds));
  for (const group of groupBySize(names, sizes, options.budget ?? BUDGET_BYTES)) {
    const loaded = await loadModel(model, options.session ?? COMPARABLE, group);
    try {
      let sample = 0;
      for await (const set of iterate(feeds)) {
        for (const [name, tensor] of await loaded.run(set)) await visit(name, tensor, sample);
        sample += 1;
      }
    } finally {
      await loaded.dispose();
    }
  }
}

/** Names of the values that can be observed: tensors that nodes of the main graph make, in order. */
export function observableValues(model: Model): string[] {
  return [...model.graph.nodes].flatMap((node) =>
    node.outputs.filter((value) => value.name && isTensorOrUnknown(value)).map(({ name }) => name),
  );
}

function isTensorOrUnknown({ type }: Value): boolean {
  return type === undefined || type.kind === 'tensor';
}

/** Cuts the list where the budget is full; order is kept. */
export function groupBySize(
  names: readonly string[],
  sizes: ReadonlyMap<string, number>,
  budget: number,
): string[][] {
  const groups: string[][] = [];
  let room = 0;
  for (const name of names) {
    const size = sizes.get(name) ?? UNKNOWN_BYTES;
    const group = groups.at(-1);
    if (group && size <= room) {
      group.push(name);
      room -= size;
    } else {
      groups.push([name]);
      room = budget - size;
    }
  }
  return groups;
}

/** Bytes per value for inputs of these shapes, where inference can tell. */
function valueBytes(model: Model, feeds: Feeds | undefined): Map<string, number> {
  const sized = model.clone();
  for (const input of sized.graph.inputs) {
    const fed = feeds?.get(input.name);
    if (fed) input.type = tensorType(fed.dtype, fed.shape);
  }
  inferTypes(sized);
  const sizes = new Map<string, number>();
  for (const node of sized.graph.nodes) {
    for (const { name, dtype, shape } of node.outputs) {
      if (dtype && shape && isStatic(shape))
        sizes.set(name, byteLengthOf(dtype, elementCount(shape)));
    }
  }
  return sizes;
}

async function firstOf(
  feeds: readonly Feeds[] | (() => AsyncIterable<Feeds>),
): Promise<Feeds | undefined> {
  for await (const set of iterate(feeds)) return set;
  return undefined;
}

function iterate(
  feeds: readonly Feeds[] | (() => AsyncIterable<Feeds>),
): AsyncIterable<Feeds> | readonly Feeds[] {
  return typeof feeds === 'function' ? feeds() : feeds;
}
