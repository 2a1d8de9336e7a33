// One ranking of the weights of all layers: the least of all go, whichever layers they are in.

import type { Model } from '../../../graph/index.ts';
import { amountOf, type SparsifyOptions } from './options.ts';
import type { Product } from './products.ts';
import { markLeast, thresholdOf } from './select.ts';

import { type Sparsified, storeLazily } from './store.ts';

/** What amounts of their own are asked for stands apart. */
export function byGlobalMagnitude(
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

/** The weight without its `count` smallest elements. */
export function storeLeast(model: Model, product: Product, count: number): Sparsified {
  const { data } = product;
  return storeLazily(model, product, count, () => {
    const values = (data.values() as Float32Array).slice();
    const marks = new Uint8Array(values.length);
    markLeast(values.map(Math.abs), 0, values.length, count, marks);
    for (let i = 0; i < values.length; i++) if (marks[i]) values[i] = 0;
    return values;
  });
}
