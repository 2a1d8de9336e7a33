// Axes of operators that keep the elements in row-major order. Both shapes are cut into the same
// factors, [N, 128, 8, 8] -> [N, 32, 256] into N, 32, 4, 64; each factor is a digit of the position on
// an axis of either side. An axis of several factors is followed along one of them.

import { type Dim, divideExactly, isUnknown, mul, type Shape, sameDim } from '../../graph/index.ts';
import { type AxisPort, type Links, slotsOf } from './link.ts';

/** A factor of an axis: the whole, or of [batch * 12] the batch and the 12 apart. */
interface Part {
  readonly axis: number;
  readonly dim: Dim;
}

interface Chunk {
  readonly from: readonly Part[];
  readonly to: readonly Part[];
}

function partsOf(shape: Shape): Part[] {
  return shape.flatMap((dim, axis) => {
    const slots = typeof dim === 'number' ? undefined : slotsOf(dim);
    const rest = slots && divideExactly(dim, slots);
    if (!slots || rest === undefined) return [{ axis, dim }];
    return [
      { axis, dim: rest },
      { axis, dim: slots },
    ];
  });
}

/** Runs of axes with equal products, found from the end, and from the front where that ends. */
function chunksOf(from: readonly Part[], to: readonly Part[]): Chunk[] {
  const back = scan([...from].reverse(), [...to].reverse());
  const [usedFrom, usedTo] = [count(back, 'from'), count(back, 'to')];
  const front = scan(from.slice(0, from.length - usedFrom), to.slice(0, to.length - usedTo));
  const turned = back.map((chunk) => ({
    from: [...chunk.from].reverse(),
    to: [...chunk.to].reverse(),
  }));
  return [...front, ...turned.reverse()];
}

function count(chunks: readonly Chunk[], side: keyof Chunk): number {
  return chunks.reduce((sum, chunk) => sum + chunk[side].length, 0);
}

function scan(from: readonly Part[], to: readonly Part[]): Chunk[] {
  const chunks: Chunk[] = [];
  let [i, j] = [0, 0];
  while (i < from.length && j < to.length) {
    const [first, other] = [from[i++] as Part, to[j++] as Part];
    const chunk = { from: [first], to: [other] };
    let [a, b] = [first.dim, other.dim];
    while (!sameDim(a, b) || isUnknown(a)) {
      const grows = longer(a, b);
      const next = grows === 'from' ? from[i] : grows === 'to' ? to[j] : undefined;
      if (next === undefined) return chunks;
      if (grows === 'from') {
        chunk.from.push(next);
        i += 1;
        a = mul(a, next.dim);
      } else {
        chunk.to.push(next);
        j += 1;
        b = mul(b, next.dim);
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

/** Factors of one side, fastest first: where the running product from the end meets a boundary. */
function digits(parts: readonly Part[], cuts: readonly number[]): Digit[] {
  const found: Digit[] = [];
  let below = 1;
  for (const { axis, dim } of [...parts].reverse()) {
    const end = below * (dim as number);
    const inside = [below, ...cuts.filter((cut) => cut > below && cut < end), end];
    for (let n = 1; n < inside.length; n++) {
      const [low, high] = [inside[n - 1] as number, inside[n] as number];
      found.push({ axis, stride: low / below, count: high / low });
    }
    below = end;
  }
  return found.filter(({ count: factor }) => factor !== 1);
}

function boundaries(parts: readonly Part[]): number[] {
  const found: number[] = [];
  let below = 1;
  for (const { dim } of [...parts].reverse()) {
    below *= dim as number;
    found.push(below);
  }
  return found;
}

export function reshapeAxes(l: Links): void {
  const [from, to] = [l.c.shape(0), l.c.node.outputs[0]?.shape];
  if (!from || !to) return;
  for (const chunk of chunksOf(partsOf(from), partsOf(to))) chunkAxes(l, chunk);
}

function chunkAxes(l: Links, { from, to }: Chunk): void {
  if ([...from, ...to].some(({ dim }) => typeof dim !== 'number' || dim === 0)) return;
  const cuts = [...new Set([...boundaries(from), ...boundaries(to)])].sort((a, b) => a - b);
  // 6 x 4 -> 4 x 6: no common factors in this order.
  if (cuts.some((cut, i) => i > 0 && cut % (cuts[i - 1] as number) !== 0)) return;
  const [left, right] = [digits(from, cuts), digits(to, cuts)];
  left.forEach((digit, i) => {
    const other = right[i] as Digit;
    const a = digitPort(l.in(0, digit.axis), digit, left);
    l.join(a, digitPort(l.out(0, other.axis), other, right));
  });
}

function digitPort(
  port: AxisPort | undefined,
  digit: Digit,
  all: readonly Digit[],
): AxisPort | undefined {
  if (!port) return undefined;
  // The 12 of [batch * 12] are an axis of 12: no more than their number is compared.
  if (all.filter(({ axis }) => axis === digit.axis).length === 1) {
    return typeof port.value.shape?.[port.axis] === 'number' ? port : { ...port, key: {} };
  }
  return { ...port, key: { stride: digit.stride, count: digit.count }, factor: true };
}
