// SparseGPT (Frantar and Alistarh 2023): inputs of a layer are gone through in order; in each block of
// them the elements with the least w² / [H⁻¹]_kk (H = X^T X, seen from the inputs still to come) are
// set to zero, and what that changes in the output is made up for by all later inputs. With
// H = U D U^T, U unit upper triangular, the update is w_k + Σ_{j<k} (w_j - q_j) U_jk, where w are the
// weights as they were and q those that are left, and 1 / [H⁻¹]_kk = D_k.

import { unitUpperFactor } from '../../../tensor/cholesky.ts';

/** Share of the mean of H's diagonal that is added to it, and inputs of a block, as in the paper. */
const DAMPING = 0.01;
const BLOCK = 128;

export interface Hessian {
  /** U^T, row by row: element [k, j] is U_jk. */
  readonly lower: Float64Array;
  /** D */
  readonly diagonal: Float64Array;
}

/** Undefined where it is not positive definite. */
export function hessianOf(gram: Float64Array, width: number): Hessian | undefined {
  const h = gram.slice();
  let mean = 0;
  for (let k = 0; k < width; k++) mean += (h[k * width + k] as number) / width;
  for (let k = 0; k < width; k++) {
    const at = k * width + k;
    // An input that is always zero says nothing: its weights go for free.
    if ((h[at] as number) === 0) h[at] = Number.MIN_VALUE;
    h[at] = (h[at] as number) + DAMPING * mean;
  }
  const lower = new Float64Array(width * width);
  if (!unitUpperFactor(h, width, lower)) return undefined;
  return { lower, diagonal: diagonalOf(h, lower, width) };
}

/** D from the last column on: D_k = h_kk - Σ_{j>k} U_kj² D_j. */
function diagonalOf(h: Float64Array, lower: Float64Array, width: number): Float64Array {
  const diagonal = new Float64Array(width);
  for (let k = width - 1; k >= 0; k--) {
    let left = h[k * width + k] as number;
    for (let j = k + 1; j < width; j++) {
      left -= (lower[j * width + k] as number) ** 2 * (diagonal[j] as number);
    }
    diagonal[k] = Math.max(left, Number.MIN_VALUE);
  }
  return diagonal;
}

/** Marks what goes of the columns [from, to) given importances, rows over all columns. */
export type Mark = (scores: Float32Array, from: number, to: number) => Uint8Array;

/**
 * Prunes W [rows, width] in place. `mark` is asked block by block, with scores [rows, to - from] and
 * answers in the same shape; with `group`, after every so many inputs, as the paper does for N:M.
 */
export function sparseGpt(
  w: Float32Array,
  rows: number,
  width: number,
  { lower, diagonal }: Hessian,
  mark: Mark,
  group = 1,
): void {
  const before = w.slice();
  const errors = new Float64Array(rows * width);
  const size = group > 1 ? group : BLOCK;
  for (let from = 0; from < width; from += size) {
    const to = Math.min(width, from + size);
    push(w, errors, rows, width, lower, from, to);
    const block = to - from;
    const scores = new Float32Array(rows * block);
    for (let r = 0; r < rows; r++) {
      for (let k = from; k < to; k++) {
        scores[r * block + k - from] = (w[r * width + k] as number) ** 2 * (diagonal[k] as number);
      }
    }
    const marks = mark(scores, from, to);
    for (let r = 0; r < rows; r++) zeroRow(w, before, errors, r, width, lower, from, to, marks);
  }
}

/** Adds to the block's weights what all blocks before it have lost. */
function push(
  w: Float32Array,
  errors: Float64Array,
  rows: number,
  width: number,
  lower: Float64Array,
  from: number,
  to: number,
): void {
  if (from === 0) return;
  for (let r = 0; r < rows; r++) {
    const row = r * width;
    for (let k = from; k < to; k++) {
      const u = k * width;
      let sum = 0;
      for (let j = 0; j < from; j++) sum += (errors[row + j] as number) * (lower[u + j] as number);
      w[row + k] = (w[row + k] as number) + sum;
    }
  }
}

/** Within a block: one input after the other, each with the errors of those before it. */
function zeroRow(
  w: Float32Array,
  before: Float32Array,
  errors: Float64Array,
  r: number,
  width: number,
  lower: Float64Array,
  from: number,
  to: number,
  marks: Uint8Array,
): void {
  const row = r * width;
  for (let k = from; k < to; k++) {
    let value = w[row + k] as number;
    for (let j = from; j < k; j++) {
      value += (errors[row + j] as number) * (lower[k * width + j] as number);
    }
    const goes = marks[r * (to - from) + k - from] === 1;
    errors[row + k] = (before[row + k] as number) - (goes ? 0 : value);
    w[row + k] = goes ? 0 : value;
  }
}
