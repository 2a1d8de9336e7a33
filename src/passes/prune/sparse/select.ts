// Which elements go, given how important each is: the least of a whole, of each row, or of every group
// of M neighbours. Ties go in the order of their places, so that results are the same everywhere.

/** Marks the `count` least of the scores [from, to); 1: goes. */
export function markLeast(
  scores: ArrayLike<number>,
  from: number,
  to: number,
  count: number,
  marks: Uint8Array,
): void {
  if (count <= 0) return;
  const sorted = Float32Array.from({ length: to - from }, (_, i) => scores[from + i] as number);
  sorted.sort();
  const limit = sorted[count - 1] as number;
  let ties = count - lowerBound(sorted, limit);
  for (let i = from; i < to; i++) {
    const score = Math.fround(scores[i] as number);
    if (score < limit) marks[i] = 1;
    else if (score === limit && ties > 0) {
      marks[i] = 1;
      ties -= 1;
    }
  }
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
 * The magnitude below which a share of all elements of many tensors lies, and how many of those that
 * have it go too. Two passes over the tensors, in constant memory: positive floats order as their bits.
 */
export async function globalThreshold(
  count: number,
  eachTensor: (visit: (bits: Uint32Array) => void) => Promise<void>,
): Promise<{ readonly limit: number; readonly ties: number }> {
  const high = new Float64Array(1 << 15);
  await eachTensor((bits) => {
    for (const value of bits) {
      const bin = (value & 0x7fffffff) >>> 16;
      high[bin] = (high[bin] as number) + 1;
    }
  });
  const upper = find(high, count);
  const low = new Float64Array(1 << 16);
  await eachTensor((bits) => {
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
