// Attention of the standard domain (opset 23 on). Q [B, Hq, L, d] or [B, L, Hq * d], keys and values
// likewise with Hkv heads; the past, if any, is [B, Hkv, P, d] and comes before them.
// Multiply-adds: B * Hq * L * (P + S) * (d + dv), for the scores and for the weighted values.

import {
  add,
  type Dim,
  divideExactly,
  mul,
  product,
  type Shape,
  unknownDim,
} from '../graph/index.ts';
import {
  resizeHeads,
  resizeStandardAttention,
  rotaryAxes,
  standardAttentionAxes,
} from './axes/attention.ts';
import type { InferContext } from './context.ts';
import { define, tensor } from './op.ts';

interface AttentionSizes {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly queries: Dim;
  /** Past and present. */
  readonly keys: Dim;
  readonly keyHeads: Dim;
  readonly keySize: Dim;
  readonly valueSize: Dim;
}

interface Split {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly length: Dim;
  readonly size: Dim;
}

/** Heads, length and head size of Q, K or V, whichever way it is laid out. */
function splitHeads(shape: Shape | undefined, headCount: number | undefined): Split {
  const at = (axis: number) => shape?.[axis] ?? unknownDim();
  if (shape?.length === 4) return { batch: at(0), heads: at(1), length: at(2), size: at(3) };
  const heads = headCount ?? unknownDim();
  const size =
    (headCount && shape?.[2] !== undefined && divideExactly(shape[2], headCount)) || undefined;
  return { batch: at(0), heads, length: at(1), size: size ?? unknownDim() };
}

function sizesOf(c: InferContext): AttentionSizes {
  const query = splitHeads(c.shape(0), c.node.int('q_num_heads'));
  const key = splitHeads(c.shape(1), c.node.int('kv_num_heads'));
  const value = splitHeads(c.shape(2), c.node.int('kv_num_heads'));
  const past = c.has(4) ? (c.shape(4)?.[2] ?? unknownDim()) : 0;
  return {
    batch: query.batch,
    heads: query.heads,
    queries: query.length,
    keys: add(past, key.length),
    keyHeads: key.heads,
    keySize: key.size,
    valueSize: value.size,
  };
}

define(
  {
    op: 'Attention',
    infer(c) {
      const dtype = c.dtype(0);
      const rank = c.rank(0);
      if (rank === undefined) return [tensor(dtype, undefined)];
      const { batch, heads, queries, keys, keyHeads, keySize, valueSize } = sizesOf(c);
      const y =
        rank === 4 ? [batch, heads, queries, valueSize] : [batch, queries, mul(heads, valueSize)];
      return [
        tensor(dtype, y),
        tensor(c.dtype(1) ?? dtype, [batch, keyHeads, keys, keySize]),
        tensor(c.dtype(2), [batch, keyHeads, keys, valueSize]),
        tensor(dtype, [batch, heads, queries, keys]),
      ];
    },
    cost(c) {
      const { batch, heads, queries, keys, keySize, valueSize } = sizesOf(c);
      return mul(product([batch, heads, queries, keys]), add(keySize, valueSize));
    },
    axes: standardAttentionAxes,
    resize: resizeStandardAttention,
  },
  {
    op: 'RotaryEmbedding',
    infer: (c) => [tensor(c.dtype(0), c.shape(0))],
    // Two products per element: with the cosine and with the sine.
    cost(c) {
      const x = c.shape(0);
      return x && mul(product(x), 2);
    },
    axes: rotaryAxes,
    resize: resizeHeads,
  },
);
