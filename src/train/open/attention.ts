// Openings of attention: softmax(q kᵀ scale + bias) v, head by head (Vaswani et al. 2017). Heads are
// [B, N, S, H], keys and values [B, N, T, H]. Sources: ONNX specification, Attention; onnxruntime
// docs/ContribOperators.md and contrib_ops/cpu/bert.

import type { Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Openable, Opening } from './openable.ts';
import { fromHeads, rowsAt, toHeads, turned } from './rotary.ts';

interface Heads {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

interface Scores {
  readonly scale: number;
  /** Added before the softmax, each broadcast to [B, N, S, T]. */
  readonly biases: readonly (Value | undefined)[];
  readonly softcap?: number;
}

/** Stands for "not this one". */
const FAR = -1e9;

function attend(o: Openable, { q, k, v }: Heads, { scale, biases, softcap }: Scores): Value {
  const products = o.op('MatMul', [q, o.transpose(k, [0, 1, 3, 2])]);
  let scores = o.f.mul(products, scale);
  if (softcap) scores = o.f.mul(o.op('Tanh', [o.f.div(scores, softcap)]), softcap);
  for (const bias of biases) scores = o.plus(scores, bias);
  return o.op('MatMul', [o.op('Softmax', [scores], { axis: -1 }), v]);
}

/** [1, 1, S, T]: FAR where a key comes after its query; `past` keys come before all. */
function causal(o: Openable, queries: number, keys: number, past: number, like: Value): Value {
  const mask = Array.from({ length: queries * keys }, (_, i) =>
    i % keys > Math.floor(i / keys) + past ? FAR : 0,
  );
  return floats(o, [1, 1, queries, keys], mask, like);
}

function floats(o: Openable, shape: readonly number[], values: readonly number[], like: Value) {
  const data = Tensor.of('float32', shape, values);
  const constant = o.f.g.constant('mask', data);
  return like.dtype === 'float32' ? constant : o.op('CastLike', [constant, like]);
}

/** `fill` where a mask of ones and zeros has zeros. */
function fillZeros(o: Openable, mask: Value, fill: number, like: Value): Value {
  const isOut = o.op('Equal', [mask, o.f.number(0, mask.dtype ?? 'int32')]);
  return o.f.mul(o.op('CastLike', [isOut, like]), fill);
}

/** Masks as onnxruntime takes them: lengths [B], keys [B, T], or pairs [B, S, T]. */
function maskBias(o: Openable, index: number, keys: number, like: Value): Value | undefined {
  const mask = o.optional(index);
  if (!mask) return undefined;
  const fill = o.node.float('mask_filter_value', -10000);
  const shape = o.sizes(mask);
  if (shape.length === 2) {
    return fillZeros(o, o.op('Unsqueeze', [mask, o.f.ints([1, 2])]), fill, like);
  }
  if (shape.length === 3) return fillZeros(o, o.op('Unsqueeze', [mask, o.f.ints([1])]), fill, like);
  const [batch] = o.sizes(o.x(0));
  if (shape.length !== 1 || shape[0] !== batch) o.unknown(`${o.node.op} with a mask [${shape}]`);
  const places = Tensor.of(
    'int32',
    [1, 1, 1, keys],
    Array.from({ length: keys }, (_, i) => i),
  );
  const lengths = o.f.cast(o.op('Unsqueeze', [mask, o.f.ints([1, 2, 3])]), 'int32');
  const isIn = o.f.less(o.f.g.constant('places', places), lengths);
  return o.f.mul(o.f.sub(o.op('CastLike', [isIn, like]), 1), -fill);
}

function joined(o: Openable, past: Value | undefined, now: Value): Value {
  return past ? o.op('Concat', [past, now], { axis: 2 }) : now;
}

function keysOf(o: Openable, k: Value): number {
  return o.sizes(k)[2] ?? 1;
}

/** A scale given by the operator, or 1/√H; 0 stands for none given. */
function scaleOf(o: Openable, q: Value): number {
  return o.node.float('scale', 0) || 1 / Math.sqrt(o.sizes(q)[3] ?? 1);
}

/** X W + b holds queries, keys and values side by side. */
function selfAttention(o: Openable): (Value | undefined)[] {
  if (o.node.int('do_rotary', 0)) o.unknown('Attention that turns its features');
  if (o.node.int('past_present_share_buffer', 0)) o.unknown('Attention with a buffer of the past');
  const heads = o.node.int('num_heads', 1);
  const merged = o.plus(o.op('MatMul', [o.x(0), o.x(1)]), o.optional(2));
  const [, length = 1, width = 1] = o.sizes(merged);
  const widths = o.node.ints('qkv_hidden_sizes') ?? [width / 3, width / 3, width / 3];
  const [own, others] = [widths[0] ?? 0, (widths[0] ?? 0) + (widths[1] ?? 0)];
  const part = (from: number, to: number) => toHeads(o, o.f.slice(merged, 2, from, to), heads);
  const q = part(0, own);
  const past = o.optional(4);
  const half = (i: number) => past && o.op('Gather', [past, o.f.number(i, 'int64')], { axis: 0 });
  const k = joined(o, half(0), part(own, others));
  const v = joined(o, half(1), part(others, width));
  const keys = keysOf(o, k);
  const isCausal = o.node.int('unidirectional', 0) === 1;
  const biases = [
    maskBias(o, 3, keys, q),
    o.optional(5),
    isCausal ? causal(o, length, keys, keys - length, q) : undefined,
  ];
  const y = fromHeads(o, attend(o, { q, k, v }, { scale: scaleOf(o, q), biases }));
  if (!o.isRead(1)) return [y];
  const stacked = [k, v].map((value) => o.op('Unsqueeze', [value, o.f.ints([0])]));
  return [y, o.op('Concat', stacked, { axis: 0 })];
}

/** Queries, keys and values by [B, S, D], packed [B, S, N, 3, H], or keys and values by head. */
function multiHeads(o: Openable, heads: number): Heads {
  const [query, key, value, bias] = [o.x(0), o.optional(1), o.optional(2), o.optional(3)];
  const packed = (from: Value, i: number) => {
    const one = o.op('Gather', [from, o.f.number(i, 'int64')], { axis: 3 });
    return o.transpose(one, [0, 2, 1, 3]);
  };
  if (o.sizes(query).length === 5) {
    return { q: packed(query, 0), k: packed(query, 1), v: packed(query, 2) };
  }
  if (!key) return o.unknown('MultiHeadAttention without keys');
  const width = o.sizes(query)[2] ?? 1;
  const biased = (x: Value, from: number, to: number) =>
    toHeads(o, bias ? o.f.add(x, o.f.slice(bias, 0, from, to)) : x, heads);
  const q = biased(query, 0, width);
  if (o.sizes(key).length === 5) return { q, k: packed(key, 0), v: packed(key, 1) };
  if (!value) return o.unknown('MultiHeadAttention without values');
  if (o.sizes(key).length === 4) return { q, k: key, v: value };
  const end = 2 * width + (o.sizes(value)[2] ?? width);
  return { q, k: biased(key, width, 2 * width), v: biased(value, 2 * width, end) };
}

function multiHeadAttention(o: Openable): (Value | undefined)[] {
  const { q, ...now } = multiHeads(o, o.node.int('num_heads', 1));
  const k = joined(o, o.optional(6), now.k);
  const v = joined(o, o.optional(7), now.v);
  const [length, keys] = [keysOf(o, q), keysOf(o, k)];
  const isCausal = o.node.int('unidirectional', 0) === 1;
  const biases = [
    maskBias(o, 4, keys, q),
    o.optional(5),
    isCausal ? causal(o, length, keys, keys - length, q) : undefined,
  ];
  return [fromHeads(o, attend(o, { q, k, v }, { scale: scaleOf(o, q), biases })), k, v];
}

/** Each head of keys and values serves a group of heads of queries. */
function repeated(o: Openable, x: Value, times: number): Value {
  if (times === 1) return x;
  const [b = 1, n = 1, t = 1, size = 1] = o.sizes(x);
  const apart = o.f.reshape(x, [b, n, 1, t, size]);
  const spread = o.op('Expand', [apart, o.f.ints([b, n, times, t, size])]);
  return o.f.reshape(spread, [b, n * times, t, size]);
}

/** Causal, over a whole sequence: training has no past. */
function groupQueryAttention(o: Openable): (Value | undefined)[] {
  const heads = o.node.int('num_heads', 1);
  const keyHeads = o.node.int('kv_num_heads', heads);
  for (const index of [3, 4]) {
    const past = o.optional(index);
    if (past && o.sizes(past)[2] !== 0) o.unknown('GroupQueryAttention with a past');
  }
  const window = o.node.int('local_window_size', -1);
  if (window > 0) o.unknown('GroupQueryAttention with a window');
  if (o.node.int('smooth_softmax', 0) || o.optional(11)) o.unknown('a smooth softmax');
  const parts = groupParts(o, heads, keyHeads);
  const length = keysOf(o, parts.q);
  const turn = (x: Value) => (o.node.int('do_rotary', 0) ? turnedAt(o, x, length) : x);
  const [q, k] = [turn(parts.q), turn(parts.k)];
  const times = heads / keyHeads;
  const y = attend(
    o,
    { q, k: repeated(o, k, times), v: repeated(o, parts.v, times) },
    {
      scale: scaleOf(o, q),
      biases: [o.optional(10), causal(o, length, length, 0, q)],
      softcap: o.node.float('softcap', 0),
    },
  );
  return [fromHeads(o, y), k, parts.v];
}

function groupParts(o: Openable, heads: number, keyHeads: number): Heads {
  const [query, key, value] = [o.x(0), o.optional(1), o.optional(2)];
  if (key && value) {
    const [k, v] = [toHeads(o, key, keyHeads), toHeads(o, value, keyHeads)];
    return { q: toHeads(o, query, heads), k, v };
  }
  const size = (o.sizes(query)[2] ?? 1) / (heads + 2 * keyHeads);
  const part = (from: number, count: number) =>
    toHeads(o, o.f.slice(query, 2, from * size, (from + count) * size), count);
  return {
    q: part(0, heads),
    k: part(heads, keyHeads),
    v: part(heads + keyHeads, keyHeads),
  };
}

function turnedAt(o: Openable, x: Value, length: number): Value {
  const positions = o.optional(9) ?? o.f.ints(Array.from({ length }, (_, i) => i));
  const at = (index: number) => rowsAt(o, o.x(index), positions);
  const isInterleaved = o.node.int('rotary_interleaved', 0) === 1;
  return turned(o, x, { cos: at(7), sin: at(8), isInterleaved });
}

/** The operator of opset 23. */
function standard(o: Openable): (Value | undefined)[] {
  const inHeads = (x: Value, name: string) =>
    o.sizes(x).length === 4 ? x : toHeads(o, x, o.node.int(name, 1));
  const q = inHeads(o.x(0), 'q_num_heads');
  const k = joined(o, o.optional(4), inHeads(o.x(1), 'kv_num_heads'));
  const v = joined(o, o.optional(5), inHeads(o.x(2), 'kv_num_heads'));
  if (o.optional(6)) o.unknown('Attention with lengths of its keys');
  const [length, keys] = [keysOf(o, q), keysOf(o, k)];
  const isCausal = o.node.int('is_causal', 0) === 1;
  if (isCausal && o.optional(4)) o.unknown('causal Attention with a past');
  const times = (o.sizes(q)[1] ?? 1) / (o.sizes(k)[1] ?? 1);
  const y = attend(
    o,
    { q, k: repeated(o, k, times), v: repeated(o, v, times) },
    {
      scale: scaleOf(o, q),
      biases: [standardMask(o, q), isCausal ? causal(o, length, keys, 0, q) : undefined],
      softcap: o.node.float('softcap', 0),
    },
  );
  return [o.sizes(o.x(0)).length === 4 ? y : fromHeads(o, y), k, v];
}

/** Numbers to add, or which keys are in. */
function standardMask(o: Openable, like: Value): Value | undefined {
  const mask = o.optional(3);
  if (mask?.dtype !== 'bool') return mask;
  return o.f.mul(o.op('CastLike', [o.op('Not', [mask]), like]), FAR);
}

export const attentions: Readonly<Record<string, Opening>> = {
  'com.microsoft:Attention': selfAttention,
  'com.microsoft:MultiHeadAttention': multiHeadAttention,
  'com.microsoft:GroupQueryAttention': groupQueryAttention,
  ':Attention': standard,
};
