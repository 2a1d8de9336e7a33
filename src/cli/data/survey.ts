// Looks at data: what arrays samples are made of, their ranges, how many samples of each class.

import type { Batch, Dataset } from '../../data/dataset.ts';
import { elementCount, isInteger } from '../../tensor/dtype.ts';
import { elementsOf, toNumbers } from '../../tensor/elements.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Samples that ranges are taken of, at most. */
const SEEN = 256;
/** And values of them. */
const SEEN_ELEMENTS = 2e7;
const BATCH = 32;
/** Samples that are shown. */
const SHOWN = 5;
/** Targets read at once. */
const CHUNK = 4096;

export interface Survey {
  /** Undefined: without an end. */
  readonly samples: number | undefined;
  /** Samples that ranges of inputs are of. */
  readonly seen: number;
  readonly inputs: readonly ArrayFacts[];
  readonly targets: readonly ArrayFacts[];
  /** Of targets that are one whole number per sample. */
  readonly classes: readonly ClassCount[];
  readonly first: readonly Sample[];
}

export interface ArrayFacts {
  readonly name: string;
  readonly dtype: string;
  /** Of one sample. */
  readonly shape: readonly number[];
  /** Of numbers; of images mean and std per channel. */
  readonly range?: Range;
}

export interface Range {
  readonly min: number;
  readonly max: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Values that are no numbers: NaN, and empty cells of tables. */
  readonly missing: number;
}

export interface ClassCount {
  readonly label: number;
  readonly name?: string;
  readonly samples: number;
}

export interface Sample {
  /** Its file, its text. */
  readonly name?: string;
  /** First values by the name of the array. */
  readonly values: Readonly<Record<string, readonly (number | string)[]>>;
}

export async function survey(dataset: Dataset): Promise<Survey> {
  const inputs = new Map<string, ArrayTally>();
  const targets = new Map<string, ArrayTally>();
  const first: Sample[] = [];
  let [seen, elements] = [0, 0];
  // Where the targets can be had alone, all of them are counted, not only those of the samples seen.
  const readTargets = dataset.targets?.bind(dataset);
  for await (const batch of dataset.batches(BATCH)) {
    addAll(inputs, batch.feeds, batch.count);
    if (!readTargets) addAll(targets, batch.targets, batch.count);
    if (first.length < SHOWN) first.push(...samplesOf(batch, dataset, first.length));
    seen += batch.count;
    elements += [...batch.feeds.values()].reduce((sum, { size }) => sum + size, 0);
    if (seen >= SEEN || elements >= SEEN_ELEMENTS) break;
  }
  const samples = dataset.length;
  for (let at = 0; readTargets && at < (samples ?? 0); at += CHUNK) {
    const count = Math.min(CHUNK, (samples ?? 0) - at);
    addAll(targets, await readTargets(Array.from({ length: count }, (_, i) => at + i)), count);
  }
  const factsOf = (tallies: Map<string, ArrayTally>) => [...tallies.values()].map((t) => t.facts());
  const labels = [...targets.values()].find((tally) => tally.classes);
  return {
    samples,
    seen,
    inputs: factsOf(inputs),
    targets: factsOf(targets),
    classes: classCounts(labels?.classes, dataset.classes),
    first: first.slice(0, SHOWN),
  };
}

function addAll(tallies: Map<string, ArrayTally>, arrays: Batch['feeds'], count: number): void {
  for (const [name, tensor] of arrays) {
    const tally = tallies.get(name) ?? new ArrayTally(name, tensor);
    tallies.set(name, tally);
    tally.add(tensor, count);
  }
}

function classCounts(
  found: ReadonlyMap<number, number> | undefined,
  names: readonly string[] | undefined,
): ClassCount[] {
  const counts = new Map(found);
  // Classes without a sample are worth knowing, but not a thousand of them.
  if (names && names.length <= 2 * counts.size) {
    names.forEach((_, label) => {
      if (!counts.has(label)) counts.set(label, 0);
    });
  }
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([label, samples]) => {
      const name = names?.[label];
      return { label, ...(name === undefined ? {} : { name }), samples };
    });
}

/** Labels with more different values than this are numbers, and no classes. */
const MOST_CLASSES = 10_000;

interface Sums {
  sum: number;
  squares: number;
  count: number;
}

/** Running sums of one array. */
class ArrayTally {
  readonly #name: string;
  readonly #dtype: string;
  readonly #shape: readonly number[];
  /** Elements from one channel to the next, and how many channels there are. */
  readonly #channels: readonly [inner: number, count: number];
  readonly #sums: Sums[];
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #missing = 0;
  /** Samples by label; undefined where the array holds no labels of classes. */
  #labels: Map<number, number> | undefined;

  constructor(name: string, tensor: Tensor) {
    this.#name = name;
    this.#dtype = tensor.dtype;
    this.#shape = tensor.shape.slice(1);
    this.#channels = channelsOf(this.#shape);
    this.#sums = Array.from({ length: this.#channels[1] }, () => ({
      sum: 0,
      squares: 0,
      count: 0,
    }));
    const isOne = this.#shape.every((size) => size === 1);
    if (isOne && isInteger(tensor.dtype)) this.#labels = new Map();
  }

  add(tensor: Tensor, count: number): void {
    if (tensor.dtype === 'string') return;
    const values = rowsOf(tensor, count);
    const [inner, channels] = this.#channels;
    for (let at = 0, run = 0; at < values.length; at += inner, run += 1) {
      this.#addRun(values, at, Math.min(inner, values.length - at), run % channels);
    }
    if (this.#labels) this.#count(values, this.#labels);
  }

  /** `length` values of one channel. */
  #addRun(values: Float64Array, at: number, length: number, channel: number): void {
    let [min, max, sum, squares, missing] = [this.#min, this.#max, 0, 0, 0];
    for (let i = at; i < at + length; i++) {
      const value = values[i] as number;
      if (Number.isNaN(value)) {
        missing += 1;
        continue;
      }
      if (value < min) min = value;
      if (value > max) max = value;
      sum += value;
      squares += value * value;
    }
    const sums = this.#sums[channel] as Sums;
    sums.sum += sum;
    sums.squares += squares;
    sums.count += length - missing;
    this.#missing += missing;
    [this.#min, this.#max] = [min, max];
  }

  #count(values: Float64Array, labels: Map<number, number>): void {
    for (const value of values) labels.set(value, (labels.get(value) ?? 0) + 1);
    if (labels.size > MOST_CLASSES) this.#labels = undefined;
  }

  get classes(): ReadonlyMap<number, number> | undefined {
    return this.#labels;
  }

  facts(): ArrayFacts {
    const own = { name: this.#name, dtype: this.#dtype, shape: this.#shape };
    if (this.#min > this.#max) return own;
    const mean = this.#sums.map(({ sum, count }) => sum / count);
    const std = this.#sums.map(({ squares, count }, i) =>
      Math.sqrt(Math.max(0, squares / count - (mean[i] as number) ** 2)),
    );
    const range = { min: this.#min, max: this.#max, mean, std, missing: this.#missing };
    return { ...own, range };
  }
}

/** Three colours, first or last; else all is one channel. */
function channelsOf(shape: readonly number[]): [inner: number, count: number] {
  const [a = 1, b = 1, c = 1] = shape;
  if (shape.length === 3 && a === 3) return [b * c, 3];
  if (shape.length === 3 && c === 3) return [1, 3];
  return [Math.max(1, elementCount(shape)), 1];
}

/** Elements of the first `count` samples: a model of fixed batch size gets its last batch filled up. */
function rowsOf(tensor: Tensor, count: number): Float64Array {
  const values = toNumbers(elementsOf(tensor));
  const rows = tensor.shape[0] ?? 1;
  return rows > count ? values.subarray(0, (values.length / rows) * count) : values;
}

const VALUES = 4;

/** What is shown of the samples of a batch that stands at `start`. */
function samplesOf(batch: Batch, dataset: Dataset, start: number): Sample[] {
  return Array.from({ length: Math.min(batch.count, SHOWN) }, (_, row) => {
    const arrays = [...batch.feeds, ...batch.targets];
    const values = arrays.map(([key, tensor]) => [key, firstValues(tensor, row)] as const);
    const name = dataset.nameOf?.(start + row) ?? textOf(batch, row, dataset);
    return { ...(name === undefined ? {} : { name }), values: Object.fromEntries(values) };
  });
}

const TOKENS = 32;

/** What the first tokens of a window say. */
function textOf({ feeds }: Batch, row: number, { decode }: Dataset): string | undefined {
  const ids = [...feeds.values()].find(({ dtype }) => dtype === 'int64');
  return decode && ids && decode(numbersOf(ids, row, TOKENS));
}

/** The first numbers of a row. */
function numbersOf(tensor: Tensor, row: number, most: number): number[] {
  const width = tensor.size / (tensor.shape[0] ?? 1);
  const values = elementsOf(tensor).subarray(row * width, row * width + Math.min(width, most));
  return Array.from(values as ArrayLike<number | bigint>, Number);
}

/** One more than is shown, where there are more. */
function firstValues(tensor: Tensor, row: number): (number | string)[] {
  if (tensor.dtype !== 'string') return numbersOf(tensor, row, VALUES + 1);
  const width = tensor.size / (tensor.shape[0] ?? 1);
  const strings = 'strings' in tensor.source ? tensor.source.strings : [];
  const own = strings.slice(row * width, row * width + Math.min(width, VALUES + 1));
  return own.map((bytes) => new TextDecoder().decode(bytes));
}
