import { afterAll, describe, expect, it } from '@jest/globals';
import { MatrixProducts } from '../../../../src/passes/matrix-products.ts';
import { hessianOf } from '../../../../src/passes/prune/sparse/hessian.ts';
import { sharedFloats, sparseGpt } from '../../../../src/passes/prune/sparse/sparsegpt.ts';
import { loadModel } from '../../../../src/runtime/runner.ts';
import { unitUpperFactor } from '../../../../src/tensor/cholesky.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { type ZeroBlock, zeroBlock } from '../../../../src/tensor/zero-block.ts';

const random = new Random(5);
const products = new MatrixProducts(loadModel);
afterAll(() => products.dispose());

/** X^T X of correlated inputs. */
function gramOf(width: number, rows: number): Float64Array {
  const gram = new Float64Array(width * width);
  for (let r = 0; r < rows; r++) {
    const common = random.normal();
    const x = Array.from({ length: width }, (_, k) => random.normal() + (k % 3) * common);
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) {
        gram[i * width + j] = (gram[i * width + j] as number) + (x[i] as number) * (x[j] as number);
      }
    }
  }
  return gram;
}

function damped(gram: Float64Array, width: number): Float64Array {
  let mean = 0;
  for (let k = 0; k < width; k++) mean += (gram[k * width + k] as number) / width;
  return gram.map((value, i) => (i % (width + 1) === 0 ? value + 0.01 * mean : value));
}

function shared(values: ArrayLike<number>) {
  const memory = sharedFloats(values.length);
  memory.set(values);
  return memory;
}

/** Solves A x = b by elimination with pivots. */
function solve(a: number[][], b: number[]): number[] {
  const rows = a.map((row, i) => [...row, b[i] as number]);
  const n = rows.length;
  for (let i = 0; i < n; i++) {
    const best = rows.slice(i).reduce((at, row, k) => {
      return Math.abs(row[i] as number) > Math.abs(rows[at]?.[i] as number) ? i + k : at;
    }, i);
    const pivot = rows[best] as number[];
    rows[best] = rows[i] as number[];
    rows[i] = pivot;
    for (let r = 0; r < n; r++) {
      if (r === i) continue;
      const factor = (rows[r]?.[i] as number) / (pivot[i] as number);
      rows[r] = (rows[r] as number[]).map((value, c) => value - factor * (pivot[c] as number));
    }
  }
  return rows.map((row, i) => (row[n] as number) / (row[i] as number));
}

/** The weights of one output, without those that are gone up to `last`, that come closest: by the normal equations. */
function leastSquares(
  h: Float64Array,
  width: number,
  w: readonly number[],
  gone: ReadonlySet<number>,
) {
  const kept = Array.from({ length: width }, (_, k) => k).filter((k) => !gone.has(k));
  const at = (i: number, j: number) => h[i * width + j] as number;
  const a = kept.map((i) => kept.map((j) => at(i, j)));
  const b = kept.map((i) => w.reduce((sum, value, j) => sum + at(i, j) * value, 0));
  const x = solve(a, b);
  return Array.from({ length: width }, (_, k) =>
    gone.has(k) ? 0 : (x[kept.indexOf(k)] as number),
  );
}

describe('SparseGPT', () => {
  it('is the exact update: what goes first is made up for by least squares', async () => {
    const width = 5;
    const gram = gramOf(width, 9);
    const h = damped(gram, width);
    const hessian = await hessianOf(gram, width, products);
    const before = [0.5, -0.4, 0.3, 0.9, -0.2];
    const w = shared(before);
    await sparseGpt(w, 1, [hessian], () => Uint8Array.of(1, 1, 0, 0, 0), products);
    const expected = leastSquares(h, width, before, new Set([0, 1]));
    for (let k = 0; k < width; k++) expect(w[k]).toBeCloseTo(expected[k] as number, 5);
  });

  it('carries errors from block to block: inputs that go at the start of 150', async () => {
    const [width, rows] = [150, 3];
    const gram = gramOf(width, 200);
    const h = damped(gram, width);
    const hessian = await hessianOf(gram, width, products);
    const before = Array.from({ length: width * rows }, () => random.normal());
    const w = shared(before);
    let block = 0;
    const mark = (scores: Float32Array) => {
      const marks = new Uint8Array(scores.length);
      if (block++ === 0) for (let k = 0; k < 40; k++) marks[k * rows + 1] = 1;
      return marks;
    };
    await sparseGpt(w, rows, [hessian], mark, products);
    const gone = new Set(Array.from({ length: 40 }, (_, k) => k));
    for (let r = 0; r < rows; r++) {
      const own = Array.from({ length: width }, (_, k) => before[k * rows + r] as number);
      const expected = leastSquares(h, width, own, r === 1 ? gone : new Set());
      for (let k = 0; k < width; k++) expect(w[k * rows + r]).toBeCloseTo(expected[k] as number, 4);
    }
  });

  it('factors in panels as in one piece', async () => {
    const width = 300;
    const gram = gramOf(width, 320);
    const lower = new Float64Array(width * width);
    expect(unitUpperFactor(damped(gram, width), width, lower)).toBe(true);
    const { upper, diagonal } = await hessianOf(gram.slice(), width, products);
    let [off, sum] = [0, 0];
    for (let j = 0; j < width; j++) {
      for (let k = j; k < width; k++) {
        off = Math.max(
          off,
          Math.abs((upper[j * width + k] as number) - (lower[k * width + j] as number)),
        );
      }
      // H = U D U^T on the diagonal.
      sum = 0;
      for (let k = j; k < width; k++) {
        sum += (upper[j * width + k] as number) ** 2 * (diagonal[k] as number);
      }
      expect(sum / (damped(gram, width)[j * width + j] as number)).toBeCloseTo(1, 8);
    }
    expect(off).toBeLessThan(1e-9);
  });

  it('damps a matrix that rounding has made indefinite until it is not', async () => {
    const gram = Float64Array.of(1, 1.05, 1.05, 1);
    const { upper, diagonal } = await hessianOf(gram, 2, products);
    // 0.1 on the diagonal is the first power of ten that does.
    expect(diagonal[1]).toBeCloseTo(1.1, 9);
    expect(upper[1]).toBeCloseTo(1.05 / 1.1, 9);
  });

  it.each([{ goes: undefined }, { goes: { n: 2, m: 4 } }])(
    'gives the same bytes in any pieces (%p)',
    ({ goes }) => {
      const [size, rows] = [16, 75];
      const values = (length: number) => Float32Array.from({ length }, () => random.normal());
      const targets = values(size * rows);
      const upper = Float64Array.from({ length: size * size }, () => 0.1 * random.normal());
      const diagonal = Float64Array.from({ length: size }, () => 1 + random.uniform());
      const marks = Uint8Array.from({ length: size * rows }, () => random.integer(2));
      const start = values(size * rows);
      const run = (cuts: readonly number[]) => {
        const [weights, errors] = [start.slice(), new Float32Array(size * rows)];
        const block = {
          from: 0,
          size,
          rows,
          upper,
          diagonal,
          targets,
          goes: goes ?? marks,
          weights,
          errors,
        };
        cuts.slice(1).forEach((last, i) => {
          zeroBlock({ ...block, first: cuts[i] as number, last } satisfies ZeroBlock);
        });
        return { weights, errors };
      };
      const whole = run([0, rows]);
      expect(run([0, 7, 40, rows])).toEqual(whole);
      const zeros = whole.weights.filter((w) => w === 0).length;
      expect(zeros).toBe(goes ? (size * rows) / 2 : marks.filter((mark) => mark === 1).length);
    },
  );
});
