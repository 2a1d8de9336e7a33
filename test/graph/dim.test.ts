// The algebra of symbolic sizes, against plain arithmetic on random sizes.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  add,
  ceilDiv,
  type Dim,
  divideExactly,
  floorDiv,
  isUnknown,
  max,
  min,
  mul,
  printShape,
  product,
  sameDim,
  sub,
  substitute,
  symbol,
  symbolsOf,
  unknownDim,
} from '../../src/graph/index.ts';

const NAMES = ['batch', 'seq', 'h'];

/** An expression, and the function it stands for. */
interface Pair {
  readonly dim: Dim;
  readonly value: (sizes: ReadonlyMap<string, number>) => number;
}

const leaf: fc.Arbitrary<Pair> = fc.oneof(
  fc.integer({ min: 0, max: 12 }).map((n) => ({ dim: n, value: () => n })),
  fc.constantFrom(...NAMES).map((name) => ({
    dim: symbol(name),
    value: (sizes: ReadonlyMap<string, number>) => sizes.get(name) ?? 0,
  })),
);

const OPERATIONS: readonly [(a: Dim, b: Dim) => Dim, (a: number, b: number) => number][] = [
  [add, (a, b) => a + b],
  [sub, (a, b) => a - b],
  [mul, (a, b) => a * b],
  [min, Math.min],
  [max, Math.max],
];

const expression: fc.Arbitrary<Pair> = fc.letrec<{ node: Pair }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc
      .tuple(tie('node'), tie('node'), fc.constantFrom(...OPERATIONS))
      .map(([a, b, [dim, plain]]) => ({
        dim: dim(a.dim, b.dim),
        value: (sizes: ReadonlyMap<string, number>) => plain(a.value(sizes), b.value(sizes)),
      })),
    fc.tuple(tie('node'), fc.integer({ min: 1, max: 7 }), fc.boolean()).map(([a, n, up]) => ({
      dim: up ? ceilDiv(a.dim, n) : floorDiv(a.dim, n),
      value: (sizes: ReadonlyMap<string, number>) =>
        up ? Math.ceil(a.value(sizes) / n) : Math.floor(a.value(sizes) / n),
    })),
  ),
})).node;

const sizes = fc
  .tuple(...NAMES.map(() => fc.integer({ min: 0, max: 9 })))
  .map((values) => new Map(NAMES.map((name, i) => [name, values[i] ?? 0])));

describe('dimensions', () => {
  it('compute what the expression computes', () => {
    fc.assert(
      fc.property(expression, sizes, ({ dim, value }, given) => {
        expect(substitute(dim, given)).toBe(value(given) + 0);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('are equal whenever they are written differently', () => {
    const [b, s] = [symbol('batch'), symbol('seq')];
    expect(sameDim(mul(add(b, 1), s), add(mul(b, s), s))).toBe(true);
    expect(sameDim(sub(add(b, s), s), b)).toBe(true);
    expect(sub(b, b)).toBe(0);
    expect(sameDim(b, s)).toBe(false);
  });

  it('divide where the division is whole', () => {
    const [b, s] = [symbol('batch'), symbol('seq')];
    expect(String(divideExactly(mul(mul(b, s), 768), mul(s, 64)))).toBe('batch*12');
    expect(divideExactly(add(b, 1), 2)).toBeUndefined();
    expect(divideExactly(add(b, 1), add(b, 1))).toBe(1);
    expect(divideExactly(b, 0)).toBeUndefined();
  });

  it('round down symbolically: the whole part leaves the floor', () => {
    const b = symbol('batch');
    expect(String(floorDiv(add(mul(b, 4), 6), 4))).toBe('batch + 1');
    expect(String(floorDiv(add(b, 5), 2))).toBe('floor((batch + 1)/2) + 2');
  });

  it('know their symbols, and unknown ones are all different', () => {
    const [one, two] = [unknownDim(), unknownDim()];
    expect(sameDim(one, two)).toBe(false);
    expect(isUnknown(add(one, 3))).toBe(true);
    expect(symbolsOf(floorDiv(add(symbol('h'), symbol('w')), 2)).sort()).toEqual(['h', 'w']);
    expect(printShape([symbol('batch'), one, 3])).toBe('[batch, ?, 3]');
    expect(product([])).toBe(1);
  });
});
