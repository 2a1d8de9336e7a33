// Arrays made into a dataset: each model input finds its array and the way it fits, samples are
// chosen, and batches are cut.

import { countsDiffer, emptyData, inputWithoutData, shapeDoesNotFit } from '../errors/data.ts';
import { printShape } from '../graph/index.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Arrangement, arrange, fits } from './arrange.ts';
import type { BadSamples } from './bad-samples.ts';
import { chooseSamples, describeChoice } from './choice.ts';
import { type Conversion, isImage, planConversion } from './convert.ts';
import type { Batch, Dataset, InputSpec, TakeOptions } from './dataset.ts';
import { type Augmentation, augment } from './image/augment.ts';
import type { DataOptions } from './options.ts';
import { ownInputs } from './own-inputs.ts';
import type { ArraySource } from './source.ts';
import { isTarget } from './targets.ts';

/** Elements that augmentation can compute with. */
const CHANGEABLE = new Set(['uint8', 'float32', 'float64']);

/** How one input is filled. */
interface Fit {
  readonly source: ArraySource;
  readonly input: InputSpec;
  readonly conversion: Conversion;
  /** Samples; undefined: the same array for every batch. */
  readonly count: number | undefined;
  /** Samples of a batch where the model fixes it; 0: the input has no batch axis. */
  readonly group: number | undefined;
}

/** What a kind of data knows beyond its arrays. */
export interface Extras {
  /** What was done to the files, for the summary. */
  readonly notes?: readonly string[];
  readonly classes?: readonly string[] | undefined;
  readonly bad?: BadSamples;
  /** What stands for the sample of a row where it is shown: its file, its text. */
  readonly nameOf?: (row: number) => string;
}

/**
 * A dataset over arrays, matched to inputs by name, or by position where names do not help; without a
 * model, arrays are inputs as they are.
 */
export async function arrayDataset(
  path: string,
  sources: readonly ArraySource[],
  wanted: readonly InputSpec[] | undefined,
  options: DataOptions,
  { notes = [], classes, bad, nameOf }: Extras = {},
): Promise<Dataset> {
  const inputs = wanted ?? ownInputs(sources);
  const matched = matchInputs(path, sources, inputs);
  const fitted = inputs.map((input) => fitInput(matched.get(input) as ArraySource, input, options));
  const count = fitted.length > 0 ? agreedCount(path, fitted) : (sources[0]?.shape[0] ?? 1);
  const fits = fitted.map((f) => (f.count === count ? f : constantFit(path, f, count, fitted)));
  const used = new Set(matched.values());
  const targets = sources.filter((s) => !used.has(s) && s.shape[0] === count);
  const label = sources.find((s) => !used.has(s) && isTarget(s));
  if (wanted && label && !targets.includes(label)) {
    const first = fits[0]?.source.name ?? '';
    throw countsDiffer(path, [first, count], [label.name, label.shape[0] ?? 1]);
  }
  const order = await chooseSamples(count, options, targets.find(isTarget));
  if (order.length === 0) throw emptyData(path);
  const applied = [...notes, ...(bad?.notes ?? [])].filter(Boolean).map((note) => `; ${note}`);
  const arrays =
    !wanted && fits.length > MOST_NAMED ? [`${fits.length} arrays`] : fits.map(describe);
  const choice = describeChoice(options).map((text) => `; ${text}`);
  const read = `${path}: ${order.length} samples; ${arrays.join(', ')}`;
  const summary = `${read}${choice.join('')}${applied.join('')}`;
  const { augment } = options;
  return new ArrayDataset({ summary, classes, bad, nameOf, fits, targets, order, augment });
}

interface Parts {
  readonly summary: string;
  readonly classes: readonly string[] | undefined;
  readonly bad: BadSamples | undefined;
  readonly nameOf: ((row: number) => string) | undefined;
  readonly fits: readonly Fit[];
  readonly targets: readonly ArraySource[];
  /** Rows of the samples. */
  readonly order: readonly number[];
  readonly augment: Augmentation | undefined;
}

class ArrayDataset implements Dataset {
  readonly summary: string;
  readonly classes: readonly string[] | undefined;
  readonly bad: BadSamples | undefined;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.summary = parts.summary;
    this.classes = parts.classes;
    this.bad = parts.bad;
    this.#parts = parts;
  }

  get length(): number {
    return this.#parts.order.length;
  }

  async *batches(size: number): AsyncIterable<Batch> {
    const { fits, order } = this.#parts;
    const fixed = fits.find((f) => f.group !== undefined)?.group;
    const step = Math.max(1, fixed ?? size);
    for (let at = 0; at < order.length; at += step) {
      const rows = order.slice(at, at + step);
      yield await this.#batch(rows, fixed ? fill(rows, fixed) : rows);
    }
  }

  async take(indices: readonly number[], options: TakeOptions = {}): Promise<Batch> {
    const rows = indices.map((index) => this.#parts.order[index] as number);
    return this.#batch(rows, rows, options.augment);
  }

  nameOf(index: number): string | undefined {
    return this.#parts.nameOf?.(this.#parts.order[index] as number);
  }

  targets(indices: readonly number[]): Promise<Feeds> {
    return this.#targets(indices.map((index) => this.#parts.order[index] as number));
  }

  /** Targets of `rows`, inputs of `filled`. */
  async #batch(rows: readonly number[], filled: readonly number[], seed?: number): Promise<Batch> {
    const { augment: how } = this.#parts;
    const change = how && seed !== undefined ? { how, seed } : undefined;
    const feeds = new Map<string, Tensor>();
    for (const f of this.#parts.fits) feeds.set(f.input.name, await feed(f, filled, change));
    return { feeds, targets: await this.#targets(rows), count: rows.length };
  }

  async #targets(rows: readonly number[]): Promise<Feeds> {
    const targets = new Map<string, Tensor>();
    for (const target of this.#parts.targets) targets.set(target.name, await target.rows(rows));
    return targets;
  }
}

async function feed(
  fit: Fit,
  rows: readonly number[],
  change?: { readonly how: Augmentation; readonly seed: number },
): Promise<Tensor> {
  const { source, conversion, count, group } = fit;
  if (count === undefined) {
    const all = Array.from({ length: source.shape[0] ?? 1 }, (_, i) => i);
    const whole = conversion.apply(await source.rows(all));
    return source.shape.length === 0 ? whole.reshape([]) : whole;
  }
  const taken = await source.rows(rows);
  const isChanged = change && isImage(source) && CHANGEABLE.has(source.dtype);
  const changed = isChanged ? augment(taken, rows, change.how, change.seed) : taken;
  const tensor = conversion.apply(changed);
  return group === 0 ? tensor.reshape(tensor.shape.slice(1)) : tensor;
}

/** The last sample again, until the batch is full. */
function fill(rows: readonly number[], size: number): readonly number[] {
  const last = rows.at(-1) ?? 0;
  return rows.length === size
    ? rows
    : [...rows, ...new Array<number>(size - rows.length).fill(last)];
}

/** By name; what is left by position, if there is as much of it on both sides or they are numbered. */
function matchInputs(
  path: string,
  sources: readonly ArraySource[],
  inputs: readonly InputSpec[],
): Map<InputSpec, ArraySource> {
  const matched = new Map<InputSpec, ArraySource>();
  for (const input of inputs) {
    const source = sources.find((s) => s.name === input.name);
    if (source) matched.set(input, source);
  }
  const open = inputs.filter((input) => !matched.has(input));
  const used = new Set(matched.values());
  const rest = sources.filter((s) => !used.has(s));
  const free = rest.filter((s) => !isTarget(s));
  const numbered = free.every((s) => /^(arr|input)_\d+$/.test(s.name));
  const byPosition = free.length === open.length || (numbered && free.length > open.length);
  open.forEach((input, i) => {
    const source = byPosition ? free[i] : undefined;
    if (!source)
      throw inputWithoutData(
        input.name,
        sources.map((s) => s.name),
        path,
      );
    matched.set(input, source);
  });
  return matched;
}

/**
 * Tries, in this order: samples along the first axis; samples for an input without batch axis; one
 * sample, given without batch axis.
 */
function fitInput(source: ArraySource, input: InputSpec, options: DataOptions): Fit {
  const [count, ...sample] = source.shape;
  const [batch, ...rest] = input.shape;
  const plan = (arrangement: Arrangement) => planConversion(source, input, arrangement, options);
  if (count !== undefined && batch !== undefined) {
    const arrangement = arrange(sample, rest, options.layout);
    if (arrangement) {
      const group = typeof batch === 'number' ? batch : undefined;
      return { source, input, conversion: plan(arrangement), count, group };
    }
  }
  if (count !== undefined && fits(sample, input.shape)) {
    return { source, input, conversion: plan({ shape: sample }), count, group: 0 };
  }
  // An input without axes is a scalar, or has no declared shape.
  if (batch === undefined && sample.length > 0) {
    return { source, input, conversion: plan({ shape: sample }), count, group: undefined };
  }
  if (batch === undefined && source.shape.length === 0) {
    return { source, input, conversion: plan({ shape: [] }), count: undefined, group: undefined };
  }
  if (fits(source.shape, rest) && (batch === 1 || typeof batch !== 'number')) {
    const one = asOneSample(source);
    const conversion = planConversion(one, input, { shape: source.shape }, options);
    return { source: one, input, conversion, count: 1, group: batch === 1 ? 1 : undefined };
  }
  const text = `${input.dtype} ${printShape(input.shape)}`;
  throw shapeDoesNotFit(source.where, source.shape, input.name, text);
}

function asOneSample(source: ArraySource): ArraySource {
  const { name, where, dtype, shape } = source;
  const all = Array.from({ length: shape[0] ?? 1 }, (_, i) => i);
  const rows = async () => (await source.rows(all)).reshape([1, ...shape]);
  return { name, where, dtype, shape: [1, ...shape], rows };
}

/** The number of samples: that of the inputs whose batch size is free, else of the first. */
function agreedCount(path: string, fits: readonly Fit[]): number {
  const free = fits.filter((f) => f.count !== undefined && f.group === undefined);
  const [first, ...others] = free;
  if (!first) {
    const fixed = fits.filter((f) => f.count !== undefined);
    return (fixed.find((f) => f.group !== f.count) ?? fixed[0])?.count ?? 1;
  }
  for (const other of others) {
    if (other.count === first.count) continue;
    throw countsDiffer(
      path,
      [first.source.name, first.count ?? 0],
      [other.source.name, other.count ?? 0],
    );
  }
  return first.count ?? 1;
}

/** An array that is exactly what the input takes serves every batch (an initial state, say). */
function constantFit(path: string, f: Fit, count: number, all: readonly Fit[]): Fit {
  if (f.count === undefined) return f;
  if (f.group !== undefined && f.group === f.count)
    return { ...f, count: undefined, group: undefined };
  const other = all.find((o) => o.count === count);
  throw countsDiffer(path, [other?.source.name ?? '', count], [f.source.name, f.count]);
}

/** Arrays of data without a model that a summary names. */
const MOST_NAMED = 4;

function describe({ source, input, conversion }: Fit): string {
  const from = `"${source.name}" ${source.dtype} ${printShape(source.shape)}`;
  const to = source.name === input.name ? '' : ` for "${input.name}"`;
  return `${from}${to}${conversion.text ? ` (${conversion.text})` : ''}`;
}
