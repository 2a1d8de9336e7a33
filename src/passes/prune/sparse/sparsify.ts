// Single weights set to zero: tensors keep their shapes, and what is won is size after compression.
//
// magnitude: |w| (Han et al. 2015), in each layer, or over all of them (LAMP).
// gradient:  importances that are given: |w·g| or w²·g².
// wanda:     |w| · ‖x‖ of the input, within each output (Sun et al. 2023).
// sparsegpt: see `sparsegpt`.
// nm:        N of M neighbours along the input stay, by any of these.

import type { Model, Node, Value } from '../../../graph/index.ts';
import { Tensor } from '../../../tensor/tensor.ts';
import type { Runner } from '../../pass.ts';
import type { Pattern } from '../../select.ts';
import { inputsHidden, type LayerInputs, layerInputs, type Observer } from './layer-inputs.ts';
import { findProducts, type Left, laidOut, type Product, rowsOf } from './products.ts';
import { markGroups, markLeast, thresholdOf } from './select.ts';
import { hessianOf, sparseGpt } from './sparsegpt.ts';

export type Score = 'magnitude' | 'gradient' | 'wanda' | 'sparsegpt';

/** `lamp`: w² / Σ v² over all v of the layer that are not less (Lee et al. 2021); or |w| itself. */
export type Normalization = 'lamp' | 'none';

export interface SparsifyOptions {
  readonly score: Score;
  readonly amount: number;
  /** For layers by name; the first pattern that fits counts. */
  readonly amounts: readonly { readonly pattern: Pattern; readonly amount: number }[];
  readonly scope: 'global' | 'layer';
  /** What one ranking of all layers is of: see `ranking`. */
  readonly normalization?: Normalization | undefined;
  /** N of M stay; `amount` is not looked at. */
  readonly groups?: { readonly n: number; readonly m: number } | undefined;
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
}

export interface SparsifyContext {
  readonly run: Runner;
  readonly observer?: Observer | undefined;
  /** Importance of each element of weights, for `gradient`. */
  importances?(weights: readonly Value[]): Promise<ReadonlyMap<Value, ArrayLike<number>>>;
  progress?(done: number, of: number): void;
}

export interface Sparsified {
  readonly node: Node;
  readonly elements: number;
  readonly zeros: number;
}

export interface SparsifyResult {
  readonly outcomes: readonly Sparsified[];
  readonly left: readonly Left[];
}

/** Edits the model in place. */
export async function sparsify(
  model: Model,
  options: SparsifyOptions,
  context: SparsifyContext,
): Promise<SparsifyResult> {
  const { products, left } = findProducts(model, options);
  const open = products.filter((product) => {
    const reason = whyNot(product, options);
    if (reason) left.push({ node: product.node, reason });
    return !reason;
  });
  const isGlobal = options.score === 'magnitude' && options.scope === 'global' && !options.groups;
  const outcomes = isGlobal
    ? byGlobalMagnitude(model, open, options)
    : await layerByLayer(model, open, options, context);
  return { outcomes, left };
}

function whyNot(product: Product, { groups, score }: SparsifyOptions): string | undefined {
  if (groups && product.width % groups.m !== 0) {
    return `its ${product.width} inputs are no multiple of ${groups.m}`;
  }
  return score === 'wanda' || score === 'sparsegpt' ? inputsHidden(product) : undefined;
}

function amountOf({ node }: Product, { amount, amounts }: SparsifyOptions): number {
  return amounts.find(({ pattern }) => pattern.matches(node))?.amount ?? amount;
}

/** One threshold for all: what amounts of their own are asked for stands apart. */
function byGlobalMagnitude(
  model: Model,
  products: readonly Product[],
  options: SparsifyOptions,
): Sparsified[] {
  const own = (product: Product) =>
    options.amounts.some(({ pattern }) => pattern.matches(product.node));
  const shared = products.filter((product) => !own(product));
  const total = shared.reduce((sum, { data }) => sum + data.size, 0);
  const bitsOf = (product: Product) => {
    const { buffer, byteOffset, length } = ranking(product, options);
    return new Uint32Array(buffer, byteOffset, length);
  };
  const count = Math.floor(options.amount * total);
  const { limit, ties } = thresholdOf(count, (visit) => {
    for (const product of shared) visit(bitsOf(product));
  });
  let left = count === 0 ? 0 : ties;
  return products.map((product) => {
    const { size } = product.data;
    if (own(product))
      return storeLeast(model, product, Math.floor(amountOf(product, options) * size));
    if (count === 0) return storeLeast(model, product, 0);
    const { below, at } = countUpTo(ranking(product, options), limit);
    const taken = Math.min(left, at);
    left -= taken;
    return storeLeast(model, product, below + taken);
  });
}

/**
 * What the elements of a layer are ranked by among all layers, in any order. By `lamp`, layers whose
 * inputs are large have small weights that matter all the same.
 */
function ranking({ data }: Product, { normalization }: SparsifyOptions): Float32Array {
  const values = data.values() as Float32Array;
  if (normalization === 'none') return values;
  const sorted = values.map(Math.abs).sort();
  let left = 0;
  for (let i = sorted.length - 1; i >= 0; i--) {
    const square = (sorted[i] as number) ** 2;
    left += square;
    sorted[i] = left > 0 ? square / left : 0;
  }
  return sorted;
}

/** Elements of less magnitude, and of this one. */
function countUpTo(values: Float32Array, limit: number): { below: number; at: number } {
  let [below, at] = [0, 0];
  for (const value of values) {
    const size = Math.abs(value);
    if (size < limit) below += 1;
    else if (size === limit) at += 1;
  }
  return { below, at };
}

/** The weight without its `count` smallest elements; made when somebody needs it. */
function storeLeast(model: Model, product: Product, count: number): Sparsified {
  const { data } = product;
  return storeLazily(model, product, count, () => {
    const values = (data.values() as Float32Array).slice();
    const marks = new Uint8Array(values.length);
    markLeast(values.map(Math.abs), 0, values.length, count, marks);
    for (let i = 0; i < values.length; i++) if (marks[i]) values[i] = 0;
    return values;
  });
}

function storeLazily(
  model: Model,
  { weight, data, node }: Product,
  zeros: number,
  make: () => Float32Array,
): Sparsified {
  const compute = async () => {
    const { buffer, byteOffset, byteLength } = make();
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  const source = { byteLength: data.byteLength, compute };
  model.graph.setData(weight, new Tensor('float32', data.shape, source));
  return { node, elements: data.size, zeros };
}

/** Sets the weight to what is left of its rows. */
function store(model: Model, product: Product, rows: Float32Array): Sparsified {
  const values = laidOut(product, rows);
  let zeros = 0;
  for (const value of values) if (value === 0) zeros += 1;
  model.graph.setData(product.weight, Tensor.of('float32', product.data.shape, values));
  return { node: product.node, elements: values.length, zeros };
}

async function layerByLayer(
  model: Model,
  products: readonly Product[],
  options: SparsifyOptions,
  context: SparsifyContext,
): Promise<Sparsified[]> {
  const looks = options.score === 'wanda' || options.score === 'sparsegpt';
  const importances =
    options.score === 'gradient'
      ? await context.importances?.(products.map(({ weight }) => weight))
      : undefined;
  const outcomes: Sparsified[] = [];
  for (const group of looks ? inGroups(products, options) : products.map((one) => [one])) {
    // Seen behind the layers that are pruned already.
    const inputs = looks ? await look(model, group, options, context) : new Map();
    for (const product of group) {
      const seen = inputs.get(product) as LayerInputs | undefined;
      outcomes.push(pruneOne(model, product, options, seen, importances?.get(product.weight)));
      context.progress?.(outcomes.length, products.length);
    }
  }
  return outcomes;
}

/** Bytes of sums that are held at a time; layers beyond see data again. */
const BUDGET_BYTES = 512e6;

function inGroups(products: readonly Product[], { score }: SparsifyOptions): Product[][] {
  const groups: Product[][] = [];
  let room = 0;
  for (const product of products) {
    const bytes = 8 * (score === 'sparsegpt' ? product.width ** 2 : product.width);
    const group = groups.at(-1);
    if (group && bytes <= room) {
      group.push(product);
      room -= bytes;
    } else {
      groups.push([product]);
      room = BUDGET_BYTES - bytes;
    }
  }
  return groups;
}

async function look(
  model: Model,
  group: readonly Product[],
  { score }: SparsifyOptions,
  { observer, run }: SparsifyContext,
): Promise<Map<Product, LayerInputs>> {
  if (!observer) throw new Error(`${score} needs data`);
  return layerInputs(model, group, score === 'sparsegpt' ? 'gram' : 'squares', observer, run);
}

function pruneOne(
  model: Model,
  product: Product,
  options: SparsifyOptions,
  inputs: LayerInputs | undefined,
  importance: ArrayLike<number> | undefined,
): Sparsified {
  const { rows, width, data } = product;
  const { score, groups } = options;
  const going = Math.floor(amountOf(product, options) * data.size);
  if (score === 'magnitude') {
    const zeros = groups ? (data.size * (groups.m - groups.n)) / groups.m : going;
    if (!groups) return storeLeast(model, product, going);
    return storeLazily(model, product, zeros, () => {
      const w = rowsOf(product);
      return laidOut(product, withoutLeast(product, w, w.map(Math.abs), options));
    });
  }
  const w = rowsOf(product);
  const hessian = score === 'sparsegpt' && inputs ? hessianOf(inputs.sums, width) : undefined;
  if (hessian) {
    sparseGpt(w, rows, width, hessian, blockMarker(product, options), groups?.m);
    return store(model, product, w);
  }
  const scores = scoresOf(product, w, inputs, importance);
  return store(model, product, withoutLeast(product, w, scores, options));
}

/** Zeros in place of what is least: of groups, of each output (wanda), or of all. */
function withoutLeast(
  product: Product,
  w: Float32Array,
  scores: Float32Array,
  options: SparsifyOptions,
): Float32Array {
  const { rows, width } = product;
  const amount = amountOf(product, options);
  const marks = new Uint8Array(w.length);
  if (options.groups) markGroups(scores, product, options.groups, marks);
  else if (options.score === 'wanda') {
    const going = Math.floor(amount * width);
    for (let r = 0; r < rows; r++) markLeast(scores, r * width, (r + 1) * width, going, marks);
  } else markLeast(scores, 0, w.length, Math.floor(amount * w.length), marks);
  for (let i = 0; i < w.length; i++) if (marks[i]) w[i] = 0;
  return w;
}

function scoresOf(
  product: Product,
  w: Float32Array,
  inputs: LayerInputs | undefined,
  importance: ArrayLike<number> | undefined,
): Float32Array {
  if (importance) {
    const data = Tensor.of('float32', product.data.shape, Float32Array.from(importance));
    return rowsOf({ ...product, data });
  }
  const scores = w.map(Math.abs);
  if (!inputs) return scores;
  for (let i = 0; i < scores.length; i++) {
    const norm = Math.sqrt(inputs.sums[i % product.width] as number);
    scores[i] = (scores[i] as number) * norm;
  }
  return scores;
}

/** Of each block the asked share goes, or all but N of M. */
function blockMarker(product: Product, options: SparsifyOptions) {
  return (scores: Float32Array, from: number, to: number): Uint8Array => {
    const marks = new Uint8Array(scores.length);
    const block = { rows: product.rows, width: to - from };
    if (options.groups) markGroups(scores, block, options.groups, marks);
    else {
      const going = Math.floor(amountOf(product, options) * scores.length);
      markLeast(scores, 0, scores.length, going, marks);
    }
    return marks;
  };
}
