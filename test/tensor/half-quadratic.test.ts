// Half-quadratic quantisation: never a greater squared error than rounding to nearest, and less where
// a block has outliers.

import { describe, expect, it } from '@jest/globals';
import { type BlockScheme, type QuantizedRows, roundRows } from '../../src/tensor/blocks.ts';
import { halfQuadraticRows } from '../../src/tensor/half-quadratic.ts';
import { Random } from '../../src/tensor/random.ts';

const BLOCK = 32;
const WIDTH = 80;
const ROWS = 40;

function weights(): Float32Array {
  const random = new Random(3, 'weights');
  return Float32Array.from({ length: ROWS * WIDTH }, (_, i) => {
    const outlier = i % 29 === 0 ? 4 : 1;
    return random.normal() * outlier * 0.02;
  });
}

/** Squared error of each block. */
function errors(values: Float32Array, found: ReturnType<typeof roundRows>): number[] {
  const { blocks, codes, scales, zeroPoints } = found as QuantizedRows;
  const sums = new Array<number>(ROWS * blocks).fill(0);
  values.forEach((w, i) => {
    const [row, k] = [Math.floor(i / WIDTH), i % WIDTH];
    const b = row * blocks + Math.floor(k / BLOCK);
    const code = codes[b * BLOCK + (k % BLOCK)] ?? Number.NaN;
    const restored = (code - (zeroPoints[b] ?? 0)) * (scales[b] ?? 0);
    sums[b] = (sums[b] ?? 0) + (w - restored) ** 2;
  });
  return sums;
}

const total = (sums: number[]) => sums.reduce((a, b) => a + b);

describe('halfQuadraticRows', () => {
  it.each([
    [4, true],
    [4, false],
    [2, true],
    [2, false],
    [8, false],
  ] as const)('%d bits, symmetric %s', (bits, symmetric) => {
    const scheme: BlockScheme = { bits, block: BLOCK, symmetric, scaleType: 'float32' };
    const values = weights();
    const found = errors(values, halfQuadraticRows(values, ROWS, WIDTH, scheme));
    const nearest = errors(values, roundRows(values, ROWS, WIDTH, scheme));
    found.forEach((error, b) => {
      expect(error).toBeLessThanOrEqual((nearest[b] ?? 0) * 1.0001 + 1e-12);
    });
    expect(total(found)).toBeLessThan(0.97 * total(nearest));
  });

  it('keeps blocks of zeros and of one value', () => {
    const scheme: BlockScheme = { bits: 4, block: BLOCK, symmetric: false, scaleType: 'float16' };
    const values = new Float32Array(ROWS * WIDTH);
    values.fill(0.5, 0, WIDTH);
    const found = errors(values, halfQuadraticRows(values, ROWS, WIDTH, scheme));
    expect(total(found)).toBeLessThan(1e-4);
    expect(found.slice(3)).toEqual(new Array(found.length - 3).fill(0));
  });

  it('tells what is not finite', () => {
    const scheme: BlockScheme = { bits: 4, block: BLOCK, symmetric: false, scaleType: 'float32' };
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const values = weights();
      values[777] = bad;
      expect(halfQuadraticRows(values, ROWS, WIDTH, scheme)).toEqual({ notFinite: 777 });
    }
  });
});
