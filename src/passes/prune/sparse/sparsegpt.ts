// SparseGPT (Frantar and Alistarh 2023, algorithm 1): inputs of a layer are gone through in order; in
// each block of them the elements with the least w² / [H⁻¹]_kk (H = X^T X, seen from the inputs still to
// come) are set to zero, and what that changes in the output is made up for by all later inputs. With
// H = U D U^T, U unit upper triangular, the update is w_k + Σ_{j<k} (w_j - q_j) U_jk, where w are the
// weights as they were and q those that are left, and 1 / [H⁻¹]_kk = D_k: the same numbers as with the
// inverse of H, which need not be made. What blocks before have lost reaches a block as one product.

import { type ZeroBlock, zeroBlock } from '../../../tensor/zero-block.ts';
import { poolSize, zeroInPool } from '../../../threads/pool.ts';
import type { MatrixProducts } from '../../matrix-products.ts';
import type { Hessian } from './hessian.ts';

/** Inputs of a block, as in the paper. */
const BLOCK = 128;
/** Blocks of more elements are worked on by several threads. */
const THREADED = 1 << 15;

/** Marks what goes of a block, given the importances of its elements, [inputs, rows]. */
export type Mark = (scores: Float32Array) => Uint8Array;

/** Memory that threads share. */
export function sharedFloats(length: number): Float32Array<SharedArrayBuffer> {
  return new Float32Array(new SharedArrayBuffer(4 * length));
}

/**
 * Prunes W [width, rows], shared memory, in place. Rows are of as many groups as there are Hessians, one
 * group after the other. `goes` marks what goes of a block, or says how many of M neighbours stay.
 */
export async function sparseGpt(
  w: Float32Array,
  rows: number,
  hessians: readonly Hessian[],
  goes: Mark | { readonly n: number; readonly m: number },
  products: MatrixProducts,
): Promise<void> {
  const width = w.length / rows;
  const errors = sharedFloats(w.length);
  const size = typeof goes === 'function' ? BLOCK : goes.m * Math.ceil(BLOCK / goes.m);
  const targets = sharedFloats(Math.min(size, width) * rows);
  for (let from = 0; from < width; from += size) {
    const to = Math.min(width, from + size);
    targets.set(w.subarray(from * rows, to * rows));
    const each = hessians.map((hessian, i) => {
      const [first, last] = [i, i + 1].map((g) => (g * rows) / hessians.length) as [number, number];
      return { hessian, first, last };
    });
    for (const { hessian, first, last } of each) {
      await push(targets, errors, rows, [first, last], hessian, [from, to], products);
    }
    const marks =
      typeof goes === 'function' ? shared(goes(scoresOf(targets, rows, hessians, from, to))) : goes;
    for (const { hessian, first, last } of each) {
      const own = withinBlock(hessian, from, to);
      const block = {
        ...own,
        from,
        size: to - from,
        rows,
        targets,
        goes: marks,
        weights: w,
        errors,
      };
      await zeroRows({ ...block, first, last });
    }
  }
}

/** Adds to the targets of a block what all blocks before it have lost. */
async function push(
  targets: Float32Array,
  errors: Float32Array,
  rows: number,
  [first, last]: readonly [number, number],
  { upper, width }: Hessian,
  [from, to]: readonly [number, number],
  products: MatrixProducts,
): Promise<void> {
  if (from === 0) return;
  const factors = new Float32Array((to - from) * from);
  for (let j = 0; j < from; j++) {
    for (let k = from; k < to; k++) factors[(k - from) * from + j] = upper[j * width + k] as number;
  }
  const lanes = last - first;
  const before =
    lanes === rows ? errors.subarray(0, from * rows) : columns(errors, rows, first, last, from);
  const pushed = await products.times(factors, before, from);
  for (let k = 0; k < to - from; k++) {
    for (let n = 0; n < lanes; n++) {
      const at = k * rows + first + n;
      targets[at] = (targets[at] as number) + (pushed[k * lanes + n] as number);
    }
  }
}

/** Outputs first … last of the leading inputs, [inputs, last - first]. */
function columns(
  matrix: Float32Array,
  rows: number,
  first: number,
  last: number,
  inputs: number,
): Float32Array {
  const own = new Float32Array(inputs * (last - first));
  for (let k = 0; k < inputs; k++) {
    own.set(matrix.subarray(k * rows + first, k * rows + last), k * (last - first));
  }
  return own;
}

function scoresOf(
  targets: Float32Array,
  rows: number,
  hessians: readonly Hessian[],
  from: number,
  to: number,
): Float32Array {
  const scores = new Float32Array((to - from) * rows);
  const lanes = rows / hessians.length;
  for (let k = from; k < to; k++) {
    hessians.forEach(({ diagonal }, i) => {
      const d = diagonal[k] as number;
      const at = (k - from) * rows + i * lanes;
      for (let n = at; n < at + lanes; n++) scores[n] = (targets[n] as number) ** 2 * d;
    });
  }
  return scores;
}

function withinBlock({ upper, diagonal, width }: Hessian, from: number, to: number) {
  const size = to - from;
  const own = new Float64Array(size * size);
  for (let j = from; j < to; j++) {
    own.set(upper.subarray(j * width + from, j * width + to), (j - from) * size);
  }
  return { upper: own, diagonal: diagonal.slice(from, to) };
}

function shared(marks: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(marks.length));
  copy.set(marks);
  return copy;
}

/** On several threads where that is worth the way there. */
async function zeroRows(block: ZeroBlock): Promise<void> {
  const { first, last, size } = block;
  if ((last - first) * size < THREADED) {
    zeroBlock(block);
    return;
  }
  const parts = poolSize();
  const cut = (i: number) => first + Math.floor(((last - first) * i) / parts);
  await Promise.all(
    Array.from({ length: parts }, (_, i) =>
      zeroInPool({ ...block, first: cut(i), last: cut(i + 1) }),
    ),
  );
}
