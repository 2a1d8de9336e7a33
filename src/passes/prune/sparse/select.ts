// Which elements go, given how important each is: the least of a whole, of each row, or of every group
// of M neighbours. Ties go in the order of their places, so that results are the same everywhere.

/** Marks the `count` least of the scores [from, to), none of them negative; 1: goes. */
export function markLeast(
  scores: ArrayLike<number>,
  from: number,
  to: number,
  count: number,
  marks: Uint8Array,
): void {
  if (count <= 0) return;
  const own = Float32Array.from({ length: to - from }, (_, i) => scores[from + i] as number);
  const { limit, ties } = threshold(own, count);
  let left = ties;
  for (let i = from; i < to; i++) {
    const score = own[i - from] as number;
    if (score < limit) marks[i] = 1;
    else if (score === limit && left > 0) {
      marks[i] = 1;
      left -= 1;
    }
  }
}

/** Counting takes two passes over a hundred thousand bins. */
const SORTED = 1 << 15;

/** The `count`-th least of them, and how many of those that are equal to it belong to the least. */
function threshold(values: Float32Array, count: number): { limit: number; ties: number } {
  if (values.length > SORTED) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    return thresholdOf(count, (visit) => visit(bits));
  }
  const sorted = values.slice().sort();
  const limit = sorted[count - 1] as number;
  return { limit, ties: count - lowerBound(sorted, limit) };
}

/** How many elements of a sorted array are less. */
function lowerBound(sorted: Float32Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Of every `m` neighbours of a row the `m - n` least go; `m` divides `width`. */
export function markGroups(
  scores: ArrayLike<number>,
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
