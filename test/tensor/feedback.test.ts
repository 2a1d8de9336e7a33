// Rounding with feedback against the textbook form of GPTQ: the inverse of the Hessian by elimination,
// its Cholesky factor, and one input after the other, with every error pushed on at once.

import { describe, expect, it } from '@jest/globals';
import type { BlockScheme } from '../../src/tensor/blocks.ts';
import { roundRows } from '../../src/tensor/blocks.ts';
import { unitUpperFactor } from '../../src/tensor/cholesky.ts';
import { factorGram, feedbackRows } from '../../src/tensor/feedback.ts';
import { Random } from '../../src/tensor/random.ts';

type Matrix = number[][];

const random = new Random(7, 'feedback');
const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const at = (m: Matrix, i: number, j: number) => m[i]?.[j] ?? Number.NaN;

/** X^T X of correlated inputs. */
function gramOf(width: number, rows: number): Float32Array {
  const x = Array.from({ length: rows }, () => {
    const common = random.normal();
    return Array.from(normal(width), (v, k) => v + (k % 3) * common);
  });
  const gram = new Float32Array(width * width);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      gram[i * width + j] = x.reduce((sum, row) => sum + (row[i] ?? 0) * (row[j] ?? 0), 0);
    }
  }
  return gram;
}

function inverse(matrix: Matrix): Matrix {
  const n = matrix.length;
  const a = matrix.map((row, i) => [
    ...row,
    ...Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)),
  ]);
  for (let i = 0; i < n; i++) {
    const pivot = at(a, i, i);
    a[i] = (a[i] ?? []).map((x) => x / pivot);
    for (let r = 0; r < n; r++) {
      const factor = at(a, r, i);
      if (r !== i) a[r] = (a[r] ?? []).map((x, c) => x - factor * at(a, i, c));
    }
  }
  return a.map((row) => row.slice(n));
}

/** R upper triangular with A = R^T R. */
function upperCholesky(a: Matrix): Matrix {
  const n = a.length;
  const r: Matrix = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      let sum = at(a, i, j);
      for (let k = 0; k < i; k++) sum -= at(r, k, i) * at(r, k, j);
      const row = r[i] ?? [];
      row[j] = i === j ? Math.sqrt(sum) : sum / at(r, i, i);
    }
  }
  return r;
}

/** Restored weights of one row, as algorithm 1 of the paper has it, a range per block. */
function textbook(
  row: Float32Array,
  gram: Float32Array,
  damping: number,
  { bits, block }: BlockScheme,
) {
  const n = row.length;
  const diagonal = Array.from({ length: n }, (_, i) => gram[i * n + i] ?? 0);
  const mean = diagonal.reduce((a, b) => a + b) / n;
  const hessian = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_, j) => (gram[i * n + j] ?? 0) + (i === j ? damping * mean : 0)),
  );
  const r = upperCholesky(inverse(hessian));
  const w = Array.from(row);
  const restored: number[] = [];
  let [scale, zero] = [0, 0];
  const top = 2 ** bits - 1;
  for (let i = 0; i < n; i++) {
    if (i % block === 0) {
      const own = w.slice(i, i + block);
      const [min, max] = [Math.min(0, ...own), Math.max(0, ...own)];
      scale = Math.fround((max - min) / top);
      zero = Math.round(-min / scale);
    }
    const q = Math.max(0, Math.min(top, Math.floor((w[i] ?? 0) / scale + zero + 0.5)));
    restored.push(scale * (q - zero));
    const error = ((w[i] ?? 0) - scale * (q - zero)) / at(r, i, i);
    for (let j = i; j < n; j++) w[j] = (w[j] ?? 0) - error * at(r, i, j);
  }
  return restored;
}

const SCHEME: BlockScheme = { bits: 4, block: 16, symmetric: false, scaleType: 'float32' };

function restore(rounded: ReturnType<typeof feedbackRows>, width: number): number[][] {
  if ('notFinite' in rounded) throw new Error('not finite');
  const { rows, blocks, codes, scales, zeroPoints } = rounded;
  const block = codes.length / rows / blocks;
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: width }, (_, k) => {
      const b = row * blocks + Math.floor(k / block);
      return ((codes[row * blocks * block + k] ?? 0) - (zeroPoints[b] ?? 0)) * (scales[b] ?? 0);
    }),
  );
}

/** The squared error of the outputs. */
function outputError(rows: Float32Array, restored: number[][], gram: Float32Array): number {
  let error = 0;
  const width = restored[0]?.length ?? 0;
  restored.forEach((row, r) => {
    const d = row.map((x, k) => x - (rows[r * width + k] ?? 0));
    d.forEach(
      (x, i) =>
        void d.forEach((y, j) => {
          error += x * y * (gram[i * width + j] ?? 0);
        }),
    );
  });
  return error;
}

describe('rounding with feedback', () => {
  it('is GPTQ', () => {
    // More outputs than are rounded together, and a last block that is not full.
    const [rows, width] = [37, 54];
    const values = normal(rows * width);
    const gram = gramOf(width, 200);
    const feedback = factorGram({ gram, width, damping: 0.01, byPower: false });
    const found = restore(feedbackRows(values, rows, width, SCHEME, feedback), width);
    let differing = 0;
    for (let row = 0; row < rows; row++) {
      const expected = textbook(
        values.subarray(row * width, (row + 1) * width),
        gram,
        0.01,
        SCHEME,
      );
      differing += expected.filter((x, k) => Math.abs(x - at(found, row, k)) > 1e-4).length;
    }
    expect(differing).toBe(0);
  });

  it.each([
    [4, true, 32, false],
    [4, false, 32, true],
    [2, false, 16, false],
    [8, true, 96, true],
  ] as const)(
    'errs less than the nearest: %d bits, symmetric %s, block %d, by power %s',
    (bits, symmetric, block, byPower) => {
      const [rows, width] = [20, 96];
      const values = normal(rows * width);
      const gram = gramOf(width, 300);
      const scheme: BlockScheme = { bits, block, symmetric, scaleType: 'float16' };
      const feedback = factorGram({ gram, width, damping: 0.01, byPower });
      const error = outputError(
        values,
        restore(feedbackRows(values, rows, width, scheme, feedback), width),
        gram,
      );
      const nearest = outputError(
        values,
        restore(roundRows(values, rows, width, scheme), width),
        gram,
      );
      expect(error).toBeLessThan(0.7 * nearest);
    },
  );

  it('takes inputs that are always zero, and data of low rank', () => {
    const width = 32;
    const values = normal(2 * width);
    const gram = gramOf(width, 3);
    for (let k = 0; k < width; k++) gram[5 * width + k] = gram[k * width + 5] = 0;
    for (const one of [gram, new Float32Array(width * width)]) {
      const feedback = factorGram({ gram: one, width, damping: 0.01, byPower: false });
      const found = restore(feedbackRows(values, 2, width, SCHEME, feedback), width);
      expect(found.flat().every(Number.isFinite)).toBe(true);
    }
    const zeros = factorGram({
      gram: new Float32Array(width * width),
      width,
      damping: 0.01,
      byPower: false,
    });
    expect(feedbackRows(values, 2, width, SCHEME, zeros)).toEqual(
      roundRows(values, 2, width, SCHEME),
    );
  });

  it('tells what is not finite', () => {
    const values = normal(64);
    values[33] = Number.NaN;
    const feedback = factorGram({ gram: gramOf(32, 40), width: 32, damping: 0.01, byPower: false });
    expect(feedbackRows(values, 2, 32, SCHEME, feedback)).toEqual({ notFinite: 33 });
  });
});

describe('unitUpperFactor', () => {
  it.each([1, 4, 7, 30])('gives U with U D U^T = H, size %d', (size) => {
    const gram = Float64Array.from(gramOf(size, 3 * size));
    const lower = new Float64Array(size * size);
    expect(unitUpperFactor(gram, size, lower)).toBe(true);
    const u = (i: number, k: number) => lower[k * size + i] ?? 0;
    for (let i = 0; i < size; i++) {
      expect(u(i, i)).toBe(1);
      for (let j = 0; j < i; j++) expect(u(i, j)).toBe(0);
    }
    // D from the last to the first, then every element.
    const d = new Float64Array(size);
    const product = (i: number, j: number, from: number) => {
      let sum = 0;
      for (let k = from; k < size; k++) sum += u(i, k) * (d[k] ?? 0) * u(j, k);
      return sum;
    };
    for (let i = size - 1; i >= 0; i--) d[i] = (gram[i * size + i] ?? 0) - product(i, i, i + 1);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        expect(product(i, j, 0)).toBeCloseTo(gram[i * size + j] ?? 0, 6);
      }
    }
  });

  it('refuses what is not positive definite', () => {
    expect(unitUpperFactor(Float64Array.of(1, 2, 2, 1), 2, new Float64Array(4))).toBe(false);
    expect(unitUpperFactor(Float64Array.of(Number.NaN), 1, new Float64Array(1))).toBe(false);
  });
});
