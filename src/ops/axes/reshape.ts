// Axes of operators that keep the elements in row-major order. Both shapes are cut into the same
// factors, [N, 128, 8, 8] -> [N, 32, 256] into N, 32, 4, 64; each factor is a digit of the position on
// an axis of either side. An axis of several factors is followed along one of them.

import { type Dim, divideExactly, isUnknown, mul, type Shape, sameDim } from '../../graph/index.ts';
import type { AxisPort, Links } from './link.ts';

interface Chunk {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** Runs of axes with equal products, found from the end, and from the front where that ends. */
export function chunksOf(from: Shape, to: Shape): Chunk[] {
  const back = scan([...from].reverse(), [...to].reverse());
  const [usedFrom, usedTo] = [count(back, 'from'), count(back, 'to')];
  const front = scan(from.slice(0, from.length - usedFrom), to.slice(0, to.length - usedTo));
  const flip = (axes: readonly number[], rank: number) =>
    axes.map((axis) => rank - 1 - axis).reverse();
  const turned = back.map((chunk) => ({
    from: flip(chunk.from, from.length),
    to: flip(chunk.to, to.length),
  }));
  return [...front, ...turned.reverse()];
}

function count(chunks: readonly Chunk[], side: keyof Chunk): number {
  return chunks.reduce((sum, chunk) => sum + chunk[side].length, 0);
}

function scan(from: Shape, to: Shape): Chunk[] {
  const chunks: Chunk[] = [];
  let [i, j] = [0, 0];
  while (i < from.length && j < to.length) {
    const chunk = { from: [i], to: [j] };
    let [a, b] = [from[i++] as Dim, to[j++] as Dim];
    while (!sameDim(a, b) || isUnknown(a)) {
      const grows = longer(a, b);
      const next = grows === 'from' ? from[i] : grows === 'to' ? to[j] : undefined;
      if (next === undefined) return chunks;
      if (grows === 'from') {
        chunk.from.push(i++);
        a = mul(a, next);
      } else {
        chunk.to.push(j++);
        b = mul(b, next);
      }
    }
    chunks.push(chunk);
  }
  return chunks;
}

/** The side that needs another axis for the products to meet. */
function longer(a: Dim, b: Dim): keyof Chunk | undefined {
  if (isUnknown(a) || isUnknown(b)) return undefined;
  if (typeof a === 'number' && typeof b === 'number') return a < b ? 'from' : 'to';
  if (divideExactly(a, b) !== undefined) return 'to';
  return divideExactly(b, a) !== undefined ? 'from' : undefined;
}

interface Digit {
  readonly axis: number;
  readonly stride: number;
  readonly count: number;
}

/** Factors of one side, slowest first: where the running product from the end meets a boundary. */
function digits(axes: readonly number[], sizes: readonly number[], cuts: readonly number[]) {
  const found: Digit[] = [];
  let below = 1;
  for (let k = axes.length - 1; k >= 0; k--) {
    const size = sizes[k] as number;
    const inside = [
      below,
      ...cuts.filter((cut) => cut > below && cut < below * size),
      below * size,
    ];
    for (let n = 1; n < inside.length; n++) {
      const [low, high] = [inside[n - 1] as number, inside[n] as number];
      found.push({ axis: axes[k] as number, stride: low / below, count: high / low });
    }
    below *= size;
  }
  return found.filter(({ count: factor }) => factor !== 1);
}

function boundaries(sizes: readonly number[]): number[] {
  const found: number[] = [];
  let below = 1;
  for (let k = sizes.length - 1; k >= 0; k--) {
    below *= sizes[k] as number;
    found.push(below);
  }
  return found;
}

export function reshapeAxes(l: Links, input = 0): void {
  const [from, to] = [l.c.shape(input), l.c.node.outputs[0]?.shape];
  if (!from || !to) return;
  for (const chunk of chunksOf(from, to)) chunkAxes(l, input, chunk, from, to);
}

function chunkAxes(l: Links, input: number, chunk: Chunk, from: Shape, to: Shape): void {
  const before = chunk.from.map((axis) => from[axis] as Dim);
  const after = chunk.to.map((axis) => to[axis] as Dim);
  if ([...before, ...after].some((dim) => typeof dim !== 'number' || dim === 0)) return;
  const cuts = [...new Set([...boundaries(before as number[]), ...boundaries(after as number[])])];
  cuts.sort((a, b) => a - b);
  // 6 x 4 -> 4 x 6: no common factors in this order.
  if (cuts.some((cut, i) => i > 0 && cut % (cuts[i - 1] as number) !== 0)) return;
  const left = digits(chunk.from, before as number[], cuts);
  const right = digits(chunk.to, after as number[], cuts);
  left.forEach((digit, i) => {
    const other = right[i] as Digit;
    const a = digitPort(l.in(input, digit.axis), digit, left);
    l.join(a, digitPort(l.out(0, other.axis), other, right));
  });
}

function digitPort(
  port: AxisPort | undefined,
  digit: Digit,
  all: readonly Digit[],
): AxisPort | undefined {
  if (!port || all.filter(({ axis }) => axis === digit.axis).length === 1) return port;
  return { ...port, key: { stride: digit.stride, count: digit.count }, factor: true };
}
