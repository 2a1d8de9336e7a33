// Separable kernels: a k×k convolution becomes a k×1 convolution to R channels and a 1×k one behind it
// (Jaderberg et al. 2014). With A[(c, i), (m, j)] = W[m, c, i, j], its R largest singular triples give
// the best such pair: A ≈ Q (Qᵀ A), Q [C·kh, R] orthonormal, found by orthogonal iteration.

import { attr, Builder, type Model, type Node } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { Random } from '../../tensor/random.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Pattern } from '../select.ts';

export interface LowRankOptions {
  /** Share of a layer's multiply-adds that goes. */
  readonly amount: number;
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
}

export interface Split {
  readonly node: Node;
  /** Weights before and after. */
  readonly before: number;
  readonly after: number;
  /** ‖W - W'‖ / ‖W‖ */
  readonly error: number;
}

export interface LowRankResult {
  readonly splits: readonly Split[];
  readonly left: readonly { readonly node: Node; readonly reason: string }[];
}

/** Edits the model in place. */
export function splitKernels(model: Model, options: LowRankOptions): LowRankResult {
  const splits: Split[] = [];
  const left: { node: Node; reason: string }[] = [];
  for (const node of [...model.graph.nodes]) {
    if (node.op !== 'Conv' || node.domain !== '') continue;
    const found = whyNot(node, options) ?? split(model, node, options.amount);
    if (typeof found === 'string') left.push({ node, reason: found });
    else splits.push(found);
  }
  return { splits, left };
}

function whyNot(node: Node, { skip, only }: LowRankOptions): string | undefined {
  const found = skip.find((pattern) => pattern.matches(node));
  if (found) return `--skip ${found.text}`;
  if (only.length > 0 && !only.some((pattern) => pattern.matches(node)))
    return 'not named by --only';
  if (node.int('group', 1) !== 1) return 'it is grouped';
  if (node.string('auto_pad', 'NOTSET') !== 'NOTSET') return 'its padding is not written out';
  const weight = node.input(1);
  const data = weight && constantData(weight);
  if (!weight?.data || data?.dtype !== 'float32') return 'its weight is no float32 initializer';
  if (data.shape.length !== 4) return 'it is not over two axes';
  const [, , kh = 1, kw = 1] = data.shape;
  return kh > 1 && kw > 1 ? undefined : 'its kernel is one row or column';
}

function split(model: Model, node: Node, amount: number): Split | string {
  const data = node.input(1)?.data as Tensor;
  const [m = 1, c = 1, kh = 1, kw = 1] = data.shape;
  const [rows, columns] = [c * kh, m * kw];
  const rank = Math.floor(((1 - amount) * data.size) / (rows + columns));
  if (rank < 1) return 'not one channel would be left between the two';
  if (rank >= Math.min(rows, columns)) return 'two convolutions would cost more than the one';
  const a = unfolded(data.values() as Float32Array, m, c, kh, kw);
  const q = principal(a, rows, columns, rank);
  const [first, second] = factors(a, q, { m, c, kh, kw, rank, rows, columns });
  const error = distance(a, q, rows, columns, rank);
  rewrite(model, node, first, second);
  return { node, before: data.size, after: rank * (rows + columns), error };
}

/** A [C·kh, M·kw] */
function unfolded(w: Float32Array, m: number, c: number, kh: number, kw: number): Float64Array {
  const a = new Float64Array(w.length);
  let at = 0;
  for (let o = 0; o < m; o++) {
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++) a[(k * kh + i) * m * kw + o * kw + j] = w[at++] as number;
      }
    }
  }
  return a;
}

const ITERATIONS = 12;

/** An orthonormal basis of the R leading left singular vectors, row by row: Qᵀ [R, rows]. */
function principal(a: Float64Array, rows: number, columns: number, rank: number): Float64Array {
  const random = new Random(0, 'low-rank');
  let q = Float64Array.from({ length: rank * rows }, () => random.normal());
  orthonormalise(q, rank, rows);
  for (let i = 0; i < ITERATIONS; i++) {
    q = timesTransposed(times(q, a, rank, rows, columns), a, rank, rows, columns);
    orthonormalise(q, rank, rows);
  }
  return q;
}

/** Qᵀ A, [R, columns] */
function times(q: Float64Array, a: Float64Array, rank: number, rows: number, columns: number) {
  const out = new Float64Array(rank * columns);
  for (let r = 0; r < rank; r++) {
    for (let i = 0; i < rows; i++) {
      const factor = q[r * rows + i] as number;
      for (let j = 0; j < columns; j++) {
        out[r * columns + j] =
          (out[r * columns + j] as number) + factor * (a[i * columns + j] as number);
      }
    }
  }
  return out;
}

/** (Qᵀ A) Aᵀ, [R, rows] */
function timesTransposed(
  b: Float64Array,
  a: Float64Array,
  rank: number,
  rows: number,
  columns: number,
) {
  const out = new Float64Array(rank * rows);
  for (let r = 0; r < rank; r++) {
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) {
        sum += (b[r * columns + j] as number) * (a[i * columns + j] as number);
      }
      out[r * rows + i] = sum;
    }
  }
  return out;
}

/** Modified Gram-Schmidt over the rows, twice for the sake of rounding. */
function orthonormalise(q: Float64Array, count: number, size: number): void {
  for (let r = 0; r < count; r++) {
    for (let pass = 0; pass < 2; pass++) {
      for (let p = 0; p < r; p++) {
        let along = 0;
        for (let i = 0; i < size; i++)
          along += (q[r * size + i] as number) * (q[p * size + i] as number);
        for (let i = 0; i < size; i++) {
          q[r * size + i] = (q[r * size + i] as number) - along * (q[p * size + i] as number);
        }
      }
    }
    let norm = 0;
    for (let i = 0; i < size; i++) norm += (q[r * size + i] as number) ** 2;
    const scale = norm > 0 ? 1 / Math.sqrt(norm) : 0;
    for (let i = 0; i < size; i++) q[r * size + i] = (q[r * size + i] as number) * scale;
  }
}

interface Sizes {
  readonly m: number;
  readonly c: number;
  readonly kh: number;
  readonly kw: number;
  readonly rank: number;
  readonly rows: number;
  readonly columns: number;
}

/** V [R, C, kh, 1] and H [M, R, 1, kw]. */
function factors(a: Float64Array, q: Float64Array, s: Sizes): [Tensor, Tensor] {
  const b = times(q, a, s.rank, s.rows, s.columns);
  const h = new Float32Array(s.m * s.rank * s.kw);
  for (let o = 0; o < s.m; o++) {
    for (let r = 0; r < s.rank; r++) {
      for (let j = 0; j < s.kw; j++) {
        h[(o * s.rank + r) * s.kw + j] = b[r * s.columns + o * s.kw + j] as number;
      }
    }
  }
  return [
    Tensor.of('float32', [s.rank, s.c, s.kh, 1], Float32Array.from(q)),
    Tensor.of('float32', [s.m, s.rank, 1, s.kw], h),
  ];
}

/** What the projection leaves over, against all: √(1 - ‖Qᵀ A‖² / ‖A‖²). */
function distance(
  a: Float64Array,
  q: Float64Array,
  rows: number,
  columns: number,
  rank: number,
): number {
  const square = (v: Float64Array) => v.reduce((sum, value) => sum + value * value, 0);
  const [kept, all] = [square(times(q, a, rank, rows, columns)), square(a)];
  return Math.sqrt(Math.max(0, 1 - kept / (all || 1)));
}

function rewrite(model: Model, node: Node, first: Tensor, second: Tensor): void {
  const pads = node.ints('pads') ?? [0, 0, 0, 0];
  const strides = node.ints('strides') ?? [1, 1];
  const dilations = node.ints('dilations') ?? [1, 1];
  const pick = (values: readonly number[], axis: 0 | 1) =>
    axis === 0 ? [values[0] ?? 1, 1] : [1, values[1] ?? 1];
  const g = new Builder(model.graph, node);
  const vertical = g.op('Conv', [node.input(0), g.constant(`${node.name}/vertical`, first)], {
    pads: [pads[0] ?? 0, 0, pads[2] ?? 0, 0],
    strides: pick(strides, 0),
    dilations: pick(dilations, 0),
  });
  const old = node.input(1);
  node.setInput(0, vertical);
  node.setInput(1, g.constant(`${node.name}/horizontal`, second));
  node.setAttr('pads', attr.ints([0, pads[1] ?? 0, 0, pads[3] ?? 0]));
  node.setAttr('strides', attr.ints(pick(strides, 1)));
  node.setAttr('dilations', attr.ints(pick(dilations, 1)));
  if (node.ints('kernel_shape')) node.setAttr('kernel_shape', attr.ints([1, second.shape[3] ?? 1]));
  if (old?.uses.length === 0) model.graph.removeInitializer(old);
}
