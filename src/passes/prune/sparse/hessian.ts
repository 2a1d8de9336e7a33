// H = X^T X of the inputs of a layer as U D U^T, U unit upper triangular: with it, errors of inputs are
// made up for by all later ones. Panels of the factor are products of matrices (Golub & Van Loan, Matrix
// Computations, section 4.2.9), on the memory of H itself.

import { factorInPlace } from '../../../tensor/cholesky.ts';
import type { MatrixProducts } from '../../matrix-products.ts';

/** Share of the mean of H's diagonal that is added to it, as in the paper. */
const DAMPING = 0.01;
/** Columns of a panel. */
const PANEL = 256;

export interface Hessian {
  readonly width: number;
  /** U, [width, width]; what lies below the diagonal says nothing. */
  readonly upper: Float64Array;
  /** D, [width] */
  readonly diagonal: Float64Array;
}

/** Takes the memory of `gram`, [width, width]. Its diagonal must be finite. */
export async function hessianOf(
  gram: Float64Array,
  width: number,
  products: MatrixProducts,
): Promise<Hessian> {
  const power = Float64Array.from({ length: width }, (_, k) => gram[k * width + k] as number);
  const mean = power.reduce((sum, x) => sum + x, 0) / width || 1;
  // What is left of rounding may make a matrix of low rank indefinite.
  for (let part = DAMPING; ; part *= 10) {
    for (let k = 0; k < width; k++) gram[k * width + k] = (power[k] as number) + part * mean;
    // The last input comes first: J H J = L L^T, and U = J L diag(L)^-1 J.
    gram.reverse();
    const isDefinite = await factor(gram, width, products);
    gram.reverse();
    if (isDefinite) return { width, upper: gram, diagonal: normalise(gram, width) };
    mirror(gram, width);
  }
}

/** Divides the columns by the diagonal; returns its squares. */
function normalise(upper: Float64Array, width: number): Float64Array {
  const roots = Float64Array.from({ length: width }, (_, k) => upper[k * width + k] as number);
  for (let j = 0; j < width; j++) {
    for (let k = j; k < width; k++) {
      upper[j * width + k] = (upper[j * width + k] as number) / (roots[k] as number);
    }
  }
  return roots.map((root) => Math.max(root * root, Number.MIN_VALUE));
}

/** Puts what lies below the diagonal, which no factor has touched, above it. */
function mirror(matrix: Float64Array, width: number): void {
  for (let i = 0; i < width; i++) {
    for (let j = i + 1; j < width; j++) matrix[i * width + j] = matrix[j * width + i] as number;
  }
}

/** L in the place of the lower half, with the diagonal; false where the matrix is not positive definite. */
async function factor(a: Float64Array, size: number, products: MatrixProducts): Promise<boolean> {
  for (let from = 0; from < size; from += PANEL) {
    const to = Math.min(size, from + PANEL);
    const wide = to - from;
    const panel = part(a, size, [from, size], [from, to]);
    if (from > 0) {
      const left = part(a, size, [from, size], [0, from]);
      const known = await products.timesTransposed(left, left.subarray(0, wide * from), from);
      for (let i = 0; i < panel.length; i++) panel[i] = (panel[i] as number) - (known[i] as number);
    }
    const top = panel.slice(0, wide * wide);
    if (!factorInPlace(top, wide)) return false;
    for (let i = 0; i < wide; i++) {
      a.set(top.subarray(i * wide, i * wide + i + 1), (from + i) * size + from);
    }
    if (to === size) break;
    const below = panel.subarray(wide * wide);
    const solved = await products.timesTransposed(below, inverseOf(top, wide), wide);
    for (let i = to; i < size; i++) {
      a.set(solved.subarray((i - to) * wide, (i - to + 1) * wide), i * size + from);
    }
  }
  return true;
}

/** A part of a matrix, as one of its own. */
function part(
  matrix: Float64Array,
  size: number,
  [top, bottom]: readonly [number, number],
  [left, right]: readonly [number, number],
): Float64Array {
  const wide = right - left;
  const copy = new Float64Array((bottom - top) * wide);
  for (let i = top; i < bottom; i++) {
    copy.set(matrix.subarray(i * size + left, i * size + right), (i - top) * wide);
  }
  return copy;
}

/** L^-1, row by row: row i is (e_i - the sum of L_ij times row j) / L_ii. */
function inverseOf(lower: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const row = inverse.subarray(i * size, i * size + i + 1);
    row[i] = 1;
    for (let j = 0; j < i; j++) {
      const l = lower[i * size + j] as number;
      for (let k = 0; k <= j; k++)
        row[k] = (row[k] as number) - l * (inverse[j * size + k] as number);
    }
    const scale = 1 / (lower[i * size + i] as number);
    for (let k = 0; k <= i; k++) row[k] = (row[k] as number) * scale;
  }
  return inverse;
}
