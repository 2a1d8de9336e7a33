// Which elements go, given how important each is: the least of a whole, of each row, or of every group
// of M neighbours. Ties go in the order of their places, so that results are the same everywhere.

import { amountOf, type SparsifyOptions } from './options.ts';
import { type Product, rowsOf } from './products.ts';

/** Marks the `count` least of the scores [from, to), none of them negative; 1: goes. */
export function markLeast(
  scores: Float32Array,
  from: number,
  to: number,
  count: number,
  marks: Uint8Array,
): void {
  if (count <= 0) return;
  const limit = nthLeast(scores.slice(from, to), count - 1);
  let left = count;
  for (let i = from; i < to; i++) {
    if ((scores[i] as number) >= limit) continue;
    marks[i] = 1;
    left -= 1;
  }
  for (let i = from; i < to && left > 0; i++) {
    if (scores[i] !== limit) continue;
    marks[i] = 1;
    left -= 1;
  }
}

/** The element that sorting would put at a place; reorders the values (Hoare 1961, FIND). */
export function nthLeast(values: Float32Array, place: number): number {
  let [first, last] = [0, values.length - 1];
  while (first < last) {
    const pivot = middleOf(values, first, last);
    let [i, j] = [first, last];
    while (i <= j) {
      while ((values[i] as number) < pivot) i += 1;
      while ((values[j] as number) > pivot) j -= 1;
      if (i > j) break;
      const kept = values[i] as number;
      values[i] = values[j] as number;
      values[j] = kept;
      i += 1;
      j -= 1;
    }
    if (place <= j) last = j;
    else if (place >= i) first = i;
    else break;
  }
  return values[place] as number;
}

/** The median of the first, the last and the one in the middle. */
function middleOf(values: Float32Array, first: number, last: number): number {
  const a = values[first] as number;
  const b = values[(first + last) >> 1] as number;
  const c = values[last] as number;
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

/** Of every `m` neighbours of a row the `m - n` least go; `m` divides `width`. */
export function markGroups(
  scores: Float32Array,
  { rows, width }: { readonly rows: number; readonly width: number },
  { n, m }: { readonly n: number; readonly m: number },
  marks: Uint8Array,
): void {
  const order = Array.from({ length: m }, (_, i) => i);
  for (let at = 0; at < rows * width; at += m) {
    order.sort((a, b) => (scores[at + a] as number) - (scores[at + b] as number) || a - b);
    for (let i = 0; i < m - n; i++) marks[at + (order[i] as number)] = 1;
    order.sort((a, b) => a - b);
  }
}

/**
 * The magnitude below which so many elements of many tensors lie, and how many of those that have it
 * belong to them. Two passes over the tensors, in constant memory: positive floats order as their bits.
 */
export function thresholdOf(
  count: number,
  eachTensor: (visit: (bits: Uint32Array) => void) => void,
): { readonly limit: number; readonly ties: number } {
  const high = new Float64Array(1 << 15);
  eachTensor((bits) => {
    for (const value of bits) {
      const bin = (value & 0x7fffffff) >>> 16;
      high[bin] = (high[bin] as number) + 1;
    }
  });
  const upper = find(high, count);
  const low = new Float64Array(1 << 16);
  eachTensor((bits) => {
    for (const value of bits) {
      const size = value & 0x7fffffff;
      if (size >>> 16 !== upper.bin) continue;
      low[size & 0xffff] = (low[size & 0xffff] as number) + 1;
    }
  });
  const lower = find(low, upper.rest);
  const word = new Uint32Array([upper.bin * 65536 + lower.bin]);
  return { limit: new Float32Array(word.buffer)[0] as number, ties: lower.rest };
}

/** The bin in which the count is reached, and what is left of it there. */
function find(bins: Float64Array, count: number): { bin: number; rest: number } {
  let rest = count;
  for (let bin = 0; bin < bins.length; bin++) {
    if (rest <= (bins[bin] as number)) return { bin, rest };
    rest -= bins[bin] as number;
  }
  return { bin: bins.length - 1, rest: 0 };
}

/**
 * Rows of the weight without what is least: of groups, or of all. By wanda it is the least of each
 * output; of convolutions that of all, as their filters matter by far not as much as each other.
 */
export function withoutLeast(
  product: Product,
  scores: Float32Array,
  options: SparsifyOptions,
): Float32Array {
  const { rows, width, node } = product;
  const w = rowsOf(product);
  const marks = new Uint8Array(w.length);
  if (options.groups) markGroups(scores, product, options.groups, marks);
  else {
    const isByOutput = options.score === 'wanda' && node.op !== 'Conv';
    const size = isByOutput ? width : rows * width;
    const going = Math.floor(amountOf(product, options) * size);
    for (let at = 0; at < w.length; at += size) markLeast(scores, at, at + size, going, marks);
  }
  for (let i = 0; i < w.length; i++) if (marks[i]) w[i] = 0;
  return w;
}
