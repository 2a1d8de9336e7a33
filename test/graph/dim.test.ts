// The algebra of symbolic sizes, against plain arithmetic on random sizes.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  add,
  atLeast,
  ceilDiv,
  type Dim,
  divideExactly,
  floorDiv,
  isNonNegative,
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
  truncDiv,
  unknownDim,
  unknownElement,
} from '../../src/graph/index.ts';
import { parseDim } from '../../src/onnx/parse-dim.ts';

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

const divisor = fc.integer({ min: 1, max: 7 }).map((n) => ({ dim: n, value: () => n }));

const DIVISIONS: readonly [(a: Dim, b: Dim) => Dim, (quotient: number) => number][] = [
  [floorDiv, Math.floor],
  [ceilDiv, Math.ceil],
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
    fc
      .tuple(tie('node'), fc.oneof(divisor, leaf), fc.constantFrom(...DIVISIONS))
      .map(([a, b, [dim, plain]]) => ({
        // A size may be 0, and nothing is divided by that.
        dim: dim(a.dim, max(b.dim, 1)),
        value: (sizes: ReadonlyMap<string, number>) =>
          plain(a.value(sizes) / Math.max(b.value(sizes), 1)),
      })),
  ),
})).node;

const sizesFrom = (least: number) =>
  fc
    .tuple(...NAMES.map(() => fc.integer({ min: least, max: 9 })))
    .map((values) => new Map(NAMES.map((name, i) => [name, values[i] ?? 0])));
const sizes = sizesFrom(0);
const RUNS = { seed: 1, numRuns: 3000 };

describe('dimensions', () => {
  it('compute what the expression computes', () => {
    fc.assert(
      fc.property(expression, sizes, ({ dim, value }, given) => {
        expect(substitute(dim, given)).toBe(value(given) + 0);
      }),
      RUNS,
    );
  });

  it('know bounds that hold', () => {
    fc.assert(
      fc.property(expression, sizes, sizesFrom(1), ({ dim, value }, given, positive) => {
        if (isNonNegative(dim)) expect(value(given)).toBeGreaterThanOrEqual(0);
        expect(value(positive)).toBeGreaterThanOrEqual(atLeast(dim));
      }),
      RUNS,
    );
    expect(isNonNegative(add(symbol('batch'), 1))).toBe(true);
    expect(atLeast(add(mul(symbol('batch'), 2), -1))).toBe(1);
  });

  it('divide without the fraction, whatever the sign', () => {
    const by = fc.integer({ min: -5, max: 5 }).filter((n) => n !== 0);
    fc.assert(
      fc.property(expression, by, sizesFrom(1), ({ dim, value }, n, given) => {
        expect(substitute(truncDiv(dim, n) ?? 0, given)).toBe(Math.trunc(value(given) / n) + 0);
      }),
      RUNS,
    );
    expect(String(truncDiv(sub(symbol('h'), 1), 2))).toBe('floor((h + 1)/2) - 1');
    expect(truncDiv(symbol('h'), unknownElement())).toBeUndefined();
    expect(truncDiv(symbol('h'), 0)).toBeUndefined();
  });

  it('are read again as they are written', () => {
    fc.assert(
      fc.property(expression, ({ dim }) => {
        if (typeof dim !== 'number') expect(sameDim(parseDim(String(dim)), dim)).toBe(true);
      }),
      RUNS,
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
    expect(String(floorDiv(sub(mul(b, 6), 2), 4))).toBe('floor((batch*3 + 1)/2) - 1');
    expect(String(floorDiv(floorDiv(b, 2), 3))).toBe('floor(batch/6)');
  });

  it('cancel what divisor and dividend share', () => {
    const [b, s] = [symbol('batch'), symbol('seq')];
    expect(String(floorDiv(mul(mul(b, s), 2), mul(b, 6)))).toBe('floor(seq/3)');
    expect(String(floorDiv(b, mul(s, 2)))).toBe('floor(batch/(seq*2))');
    expect(String(sub(1, b))).toBe('-batch + 1');
  });

  it('keep of several bounds those that bind', () => {
    const [b, s] = [symbol('batch'), symbol('seq')];
    expect(max(b, max(0, b))).toBe(b);
    expect(String(max(max(b, s), add(b, 1)))).toBe('max(batch + 1, seq)');
    expect(String(min(0, sub(b, 2)))).toBe('min(0, batch - 2)');
    expect(min(0, b)).toBe(0);
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
