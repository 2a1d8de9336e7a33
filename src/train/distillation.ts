// Losses that make a student like its teacher. Logits: T² · KL(softmax(t/T) ‖ softmax(s/T)) (Hinton et
// al. 2015), or their squared distance. Inner tensors: squared distance or cosine (Romero et al. 2015),
// spatial attention maps (Zagoruyko and Komodakis 2017), similarities within the batch (Tung and Mori
// 2019), distances and angles (Park et al. 2019), relations of attention (Wang et al. 2020, MiniLM).

import type { Value } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Formula } from './formula.ts';

const sizes = (value: Value) => (value.shape ?? []).map(Number);
const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);

/** [N, …] as [N, rest]. */
function flat(f: Formula, value: Value): Value {
  const [n = 1, ...rest] = sizes(value);
  return f.reshape(value, [n, product(rest)]);
}

/** Rows of unit length. */
function unit(f: Formula, rows: Value): Value {
  const length = f.sqrt(f.add(f.sum(f.square(rows), [1], true), 1e-12));
  return f.div(rows, length);
}

/** Of logits whose last axis holds the classes; a row is a sample or a token. [rows] */
export function softDivergence(f: Formula, student: Value, teacher: Value, t: Value): Value {
  const classes = sizes(student).at(-1) ?? 1;
  const rows = (value: Value) => f.reshape(value, [product(sizes(value)) / classes, classes]);
  const logs = (value: Value) => f.op('LogSoftmax', [f.div(rows(value), t)], { axis: -1 });
  const [s, wanted] = [logs(student), logs(teacher)];
  const divergence = f.sum(f.mul(f.op('Exp', [wanted]), f.sub(wanted, s)), [1]);
  return f.mul(divergence, f.square(t));
}

export type FeatureLoss = (f: Formula, student: Value, teacher: Value) => Value;

/** Each gives a scalar from tensors [N, …] of the same shape, or of the same N where they say so. */
export const FEATURE_LOSSES = {
  mse: (f, s, t) => f.mean(f.square(f.sub(s, t))),
  cosine: (f, s, t) => {
    const along = f.sum(f.mul(unit(f, flat(f, s)), unit(f, flat(f, t))), [1]);
    return f.op('Sub', [f.number(1, 'float32'), f.mean(along)]);
  },
  /** Any number of channels: maps of [N, C, H, W] are Σ_c x², of unit length. */
  attention: (f, s, t) => {
    const map = (x: Value) => unit(f, flat(f, f.mean(f.square(x), [1])));
    return f.mean(f.sum(f.square(f.sub(map(s), map(t))), [1]));
  },
  /** Any shape behind N: the Gram matrix of the batch, rows of unit length. */
  similarity: (f, s, t) => {
    const gram = (x: Value) => {
      const rows = flat(f, x);
      return unit(f, f.op('MatMul', [rows, f.op('Transpose', [rows], { perm: [1, 0] })]));
    };
    return f.mean(f.square(f.sub(gram(s), gram(t))));
  },
  /** Any shape behind N: distances between samples over their mean, and the angles of triples. */
  relational: (f, s, t) => {
    const [own, other] = [between(f, flat(f, s)), between(f, flat(f, t))];
    const distance = huber(f, f.sub(own.distances, other.distances));
    const angle = huber(f, f.sub(own.angles, other.angles));
    return f.add(distance, f.mul(angle, 2));
  },
} satisfies Record<string, FeatureLoss>;

export type FeatureLossName = keyof typeof FEATURE_LOSSES;

function huber(f: Formula, x: Value): Value {
  const size = f.op('Abs', [x]);
  return f.mean(f.where(f.less(size, 1), f.mul(f.square(x), 0.5), f.sub(size, 0.5)));
}

/**
 * Distances between rows [N, D] over their mean, [N, N], and cosines of the angles at i between j and k,
 * [N, N, N]; both from products of rows alone: (j - i)(k - i) = jk - ij - ik + ii.
 */
function between(f: Formula, rows: Value): { distances: Value; angles: Value } {
  const [n = 1] = sizes(rows);
  // Nothing here depends on where the origin is, and near it products are exact enough.
  const central = f.sub(rows, f.mean(rows, [0], true));
  const products = f.op('MatMul', [central, f.op('Transpose', [central], { perm: [1, 0] })]);
  const isOther = f.g.constant('others', Tensor.of('float32', [n, n], others(n)));
  const squares = f.sum(f.square(central), [1]);
  const [down, along] = [f.reshape(squares, [n, 1]), f.reshape(squares, [1, n])];
  const apart = f.max(f.sub(f.add(down, along), f.mul(products, 2)), 1e-12);
  const all = f.mul(f.sqrt(apart), isOther);
  const toward = f.div(isOther, f.sqrt(apart));
  const at = (value: Value, ...shape: number[]) => f.reshape(value, shape);
  const sides = f.add(at(products, n, n, 1), at(products, n, 1, n));
  const inner = f.sub(f.add(at(products, 1, n, n), at(squares, n, 1, 1)), sides);
  const lengths = f.mul(at(toward, n, n, 1), at(toward, n, 1, n));
  return {
    distances: f.div(all, f.add(f.mean(all), 1e-12)),
    angles: f.mul(inner, lengths),
  };
}

/** Ones but for the diagonal, [n, n]. */
function others(n: number): Float32Array {
  return Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 0 : 1));
}

/** Losses of what attention is made of; numbers of heads and widths may differ. Each gives a scalar. */
export const RELATION_LOSSES = {
  /** KL of the rows of maps [N, H, S, S]; heads that have no counterpart are averaged. */
  map: (f, s, t) => {
    const heads = sharedHeads(s, t);
    const logs = (x: Value) => f.op('Log', [f.max(meanHeads(f, x, heads), 1e-9)]);
    return divergenceOf(f, logs(s), logs(t));
  },
  /** KL of the rows of softmax(V Vᵀ / √D), of values [N, H, S, D] in as many heads as both can have. */
  value: (f, s, t) => {
    const heads = sharedHeads(s, t);
    const logs = (x: Value) =>
      f.op('LogSoftmax', [products(f, splitHeads(f, x, heads))], { axis: -1 });
    return divergenceOf(f, logs(s), logs(t));
  },
} satisfies Record<string, FeatureLoss>;

/** The mean over all rows of Σ t · (log t - log s). */
function divergenceOf(f: Formula, s: Value, t: Value): Value {
  return f.mean(f.sum(f.mul(f.op('Exp', [t]), f.sub(t, s)), [-1]));
}

/** The largest number of heads that both can be divided into. */
function sharedHeads(s: Value, t: Value): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  return divisor(sizes(s)[1] ?? 1, sizes(t)[1] ?? 1);
}

/** [N, H, S, S] as [N, heads, S, S]. */
function meanHeads(f: Formula, map: Value, heads: number): Value {
  const [n = 1, h = 1, rows = 1, columns = 1] = sizes(map);
  if (h === heads) return map;
  return f.mean(f.reshape(map, [n, heads, h / heads, rows, columns]), [2]);
}

/** [N, H, S, D] as [N, heads, S, H · D / heads]. */
function splitHeads(f: Formula, values: Value, heads: number): Value {
  const [n = 1, h = 1, rows = 1, d = 1] = sizes(values);
  if (h === heads) return values;
  const apart = f.reshape(values, [n, heads, h / heads, rows, d]);
  const together = f.op('Transpose', [apart], { perm: [0, 1, 3, 2, 4] });
  return f.reshape(together, [n, heads, rows, (h / heads) * d]);
}

/** X Xᵀ / √D of [N, H, S, D]. */
function products(f: Formula, x: Value): Value {
  const turned = f.op('Transpose', [x], { perm: [0, 1, 3, 2] });
  return f.div(f.op('MatMul', [x, turned]), Math.sqrt(sizes(x).at(-1) ?? 1));
}
