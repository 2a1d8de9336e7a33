import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Comparer, compareTensors } from '../../src/tensor/compare.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { floatsToHalves } from '../../src/tensor/float16.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const TOLERANCE = { rtol: 1e-3, atol: 1e-5 };
const floats = (...values: number[]) => Tensor.of('float32', [values.length], values);
const compare = (a: Tensor, b: Tensor, tolerance = TOLERANCE) => compareTensors(a, b, tolerance);
const text = (...words: string[]) =>
  Tensor.strings(
    [words.length],
    words.map((word) => new TextEncoder().encode(word)),
  );

describe('compareTensors', () => {
  it('measures differences against the expected tensor', () => {
    const result = compareTensors(
      Tensor.of('float64', [3], [1, -2, 4]),
      Tensor.of('float64', [3], [1, -2.5, 5]),
      TOLERANCE,
    );
    expect(result).toMatchObject({ equal: false, elements: 3, mismatched: 2, maxAbs: 1 });
    expect(result.meanAbs).toBeCloseTo(0.5, 12);
    expect(result.maxRel).toBeCloseTo(0.25, 12);
    // dot = 1 + 5 + 20, |a| = sqrt(21), |b| = sqrt(32.25)
    expect(result.cosine).toBeCloseTo(26 / Math.sqrt(21 * 32.25), 12);
    // |difference| = sqrt(0.25 + 1)
    expect(result.relNorm).toBeCloseTo(Math.sqrt(1.25 / 21), 12);
    expect(result.worst).toEqual({ index: 2, expected: '4', actual: '5' });
  });

  it('agrees exactly up to atol + rtol * |expected|', () => {
    const expected = Tensor.of('float64', [1], [2]);
    const off = (by: number) => Tensor.of('float64', [1], [2 + by]);
    const loose = { rtol: 0.25, atol: 0.5 };
    expect(compare(expected, off(1), loose).equal).toBe(true);
    expect(compare(expected, off(1.001), loose).equal).toBe(false);
    // The relative part belongs to the expected side: from 3 to 2, 0.5 + 0.25 * 3 would do.
    expect(compare(off(1.2), expected, loose).equal).toBe(true);
  });

  it('takes NaN for NaN and an infinity for itself', () => {
    const odd = floats(Number.NaN, Infinity, -Infinity, 1);
    expect(compare(odd, floats(Number.NaN, Infinity, -Infinity, 1))).toMatchObject({
      equal: true,
      nonFinite: 0,
      agreedNonFinite: 3,
      maxAbs: 0,
    });
    // A different NaN pattern is still NaN.
    const otherNaN = Tensor.fromBytes('float32', [1], Uint8Array.of(1, 0, 0xc0, 0xff));
    expect(compare(floats(Number.NaN), otherNaN).equal).toBe(true);
  });

  it.each([
    ['NaN against a number', floats(Number.NaN, 1), floats(1, 1)],
    ['a number against NaN', floats(1, 1), floats(Number.NaN, 1)],
    ['infinities of both signs', floats(Infinity, 1), floats(-Infinity, 1)],
    ['infinity against the largest float', floats(Infinity, 1), floats(3.4e38, 1)],
    ['infinity against NaN', floats(Infinity, 1), floats(Number.NaN, 1)],
  ])('counts %s as a difference at any tolerance', (_, a, b) => {
    const result = compare(a, b, { rtol: 1e9, atol: 1e9 });
    expect(result).toMatchObject({ equal: false, mismatched: 1, nonFinite: 1, maxAbs: Infinity });
    expect(result.cosine).toBeCloseTo(1, 12);
    expect(result.worst?.index).toBe(0);
  });

  it('wants integers, booleans and strings to be equal', () => {
    const loose = { rtol: 1, atol: 10 };
    const of = (dtype: DType, ...values: number[]) => Tensor.of(dtype, [values.length], values);
    expect(compare(of('int32', 5, 6), of('int32', 5, 7), loose)).toMatchObject({
      equal: false,
      mismatched: 1,
      maxAbs: 1,
    });
    expect(compare(of('bool', 1, 0), of('bool', 1, 1), loose).mismatched).toBe(1);
    expect(compare(of('int32', 5), of('int64', 5), loose).equal).toBe(true);
    expect(compare(text('a', 'b'), text('a', 'c'), loose)).toMatchObject({
      mismatched: 1,
      worst: { index: 1, expected: '"b"', actual: '"c"' },
    });
    expect(compare(text('a', 'ü'), text('a', 'ü'), loose).equal).toBe(true);
  });

  it('sees differences of 64-bit integers that doubles cannot hold', () => {
    const big = (n: bigint) => Tensor.of('int64', [1], BigInt64Array.of(n));
    expect(compare(big(2n ** 60n), big(2n ** 60n + 1n))).toMatchObject({ equal: false, maxAbs: 1 });
  });

  it('compares floats of different width by value', () => {
    const values = [0.5, -3, 65504];
    const half = Tensor.of('float16', [3], floatsToHalves(values));
    expect(compare(floats(...values), half)).toMatchObject({ equal: true, maxAbs: 0 });
    const bfloat = Tensor.of('bfloat16', [1], Uint16Array.of(0x3f80));
    expect(compare(floats(1), bfloat).equal).toBe(true);
  });

  it('says why tensors cannot be compared', () => {
    expect(compare(floats(1, 2), Tensor.of('float32', [2, 1], [1, 2]))).toMatchObject({
      equal: false,
      problem: 'shape [2] against [2, 1]',
      mismatched: 2,
      cosine: Number.NaN,
      maxAbs: Number.NaN,
    });
    expect(compare(floats(1), Tensor.of('int32', [1], [1])).problem).toBe(
      'type float32 against int32',
    );
  });

  it('handles empty tensors and zeros', () => {
    expect(compare(floats(), floats())).toMatchObject({ equal: true, elements: 0, cosine: 1 });
    expect(compare(floats(0, 0), floats(0, -0))).toMatchObject({ equal: true, cosine: 1 });
    expect(compare(floats(0, 0), floats(1, 0)).cosine).toBe(0);
  });

  it('leaves elements near zero out of the relative error', () => {
    const result = compare(floats(1e-7, 1), floats(2e-7, 1));
    expect(result.equal).toBe(true);
    expect(result.maxRel).toBe(0);
  });
});

describe('Comparer', () => {
  it('gives the same over parts as over the whole', () => {
    const pairs = fc.array(fc.tuple(fc.float({ noNaN: true }), fc.float()), { minLength: 1 });
    fc.assert(
      fc.property(pairs, fc.nat(), (list, cut) => {
        const whole = [list, list.slice(0, cut % list.length), list.slice(cut % list.length)].map(
          (part) => [floats(...part.map(([a]) => a)), floats(...part.map(([, b]) => b))] as const,
        );
        const comparer = new Comparer(TOLERANCE);
        for (const [a, b] of whole.slice(1)) comparer.add(a, b);
        const [a, b] = whole[0] as (typeof whole)[0];
        const parts = comparer.result();
        const once = compare(a, b);
        expect(parts).toMatchObject({
          equal: once.equal,
          mismatched: once.mismatched,
          nonFinite: once.nonFinite,
          maxAbs: once.maxAbs,
          maxRel: once.maxRel,
        });
      }),
      { numRuns: 50, seed: 1 },
    );
  });
});
