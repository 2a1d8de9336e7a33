// Attention of com.microsoft. N heads of size H; B batch, S queries, L new keys, P past, T = P + L.
// Sources: onnxruntime docs/ContribOperators.md and core/graph/contrib_ops/bert_defs.cc.

import {
  add,
  type Dim,
  divideExactly,
  max,
  mul,
  product,
  type Shape,
  unknownDim,
} from '../graph/index.ts';
import {
  groupQueryAxes,
  multiHeadAxes,
  resizeHeads,
  resizeSelfAttention,
  rotaryAxes,
  selfAttentionAxes,
} from './axes/attention.ts';
import type { InferContext } from './context.ts';
import { sameAs } from './elementwise.ts';
import { define, type Inferred, type OpSpec, tensor } from './op.ts';
import { inputCost } from './pool.ts';

const domain = 'com.microsoft';

function share(dim: Dim | undefined, parts: Dim): Dim {
  return (dim !== undefined && divideExactly(dim, parts)) || unknownDim();
}

/** B * N * S * T products for the scores and as many for the values, of head size each. */
function scoresCost(batch: Dim, queries: Dim, keys: Dim, widths: Dim): Dim {
  return mul(product([batch, queries, keys]), widths);
}

interface SelfAttention {
  readonly past: number;
  readonly weight: number;
}

/** Hidden sizes of Q, K and V in a merged projection [I, dq + dk + dv]. */
function mergedSizes(c: InferContext, weightIndex: number): [Dim, Dim, Dim] {
  const given = c.node.ints('qkv_hidden_sizes');
  if (given?.length === 3) return given as [number, number, number];
  const third = share(c.shape(weightIndex)?.[1], 3);
  return [third, third, third];
}

/** input [B, S, I] → [B, S, dv] and, where asked for, the present [2, B, N, T, H]. */
function inferSelfAttention(c: InferContext, { past, weight }: SelfAttention, dtypeAt: number) {
  const x = c.shape(0);
  const dtype = c.dtype(dtypeAt);
  if (!x) return [tensor(dtype, undefined)];
  const [, key, value] = mergedSizes(c, weight);
  const heads = c.node.int('num_heads', 1);
  const before = c.has(past) ? (c.shape(past)?.[3] ?? unknownDim()) : 0;
  const shared = c.node.int('past_present_share_buffer', 0) === 1;
  const total = shared ? before : add(before, x[1] as Dim);
  const present = [2, x[0] as Dim, heads, total, share(key, heads)];
  return [tensor(dtype, [x[0] as Dim, x[1] as Dim, value]), tensor(dtype, present)];
}

function selfAttentionCost(c: InferContext, { past, weight }: SelfAttention): Dim | undefined {
  const x = c.shape(0);
  if (!x) return undefined;
  const [batch, length, width] = x as [Dim, Dim, Dim];
  const [query, key, value] = mergedSizes(c, weight);
  const projected = add(add(query, key), value);
  const keys = add(c.has(past) ? (c.shape(past)?.[3] ?? unknownDim()) : 0, length);
  const projection = mul(product([batch, length, width]), projected);
  return add(projection, scoresCost(batch, length, keys, add(query, value)));
}

function selfAttention(op: string, inputs: SelfAttention, dtypeAt: number): OpSpec {
  return {
    op,
    domain,
    infer: (c) => inferSelfAttention(c, inputs, dtypeAt),
    cost: (c) => selfAttentionCost(c, inputs),
    // The other integer variant has scales between its inputs: left alone.
    ...(op === 'Attention' ? { axes: selfAttentionAxes, resize: resizeSelfAttention } : {}),
  };
}

interface MultiHead {
  readonly batch: Dim;
  readonly queries: Dim;
  readonly keys: Dim;
  /** N * H of queries, and of values. */
  readonly width: Dim;
  readonly valueWidth: Dim;
  readonly heads: Dim;
}

/** Query [B, S, D], or with packed keys and values [B, S, N, 3, H]; keys [B, L, D], [B, N, L, H] … */
function multiHead(c: InferContext, pastIndex: number): MultiHead | undefined {
  const [query, key, value] = [c.shape(0), c.shape(1), c.shape(2)];
  if (!query) return undefined;
  const heads = c.node.int('num_heads', 1);
  const isPacked = query.length === 5;
  const width = isPacked ? mul(heads, query[4] as Dim) : (query[2] as Dim);
  const past = c.has(pastIndex) ? (c.shape(pastIndex)?.[2] ?? unknownDim()) : 0;
  const length = isPacked || !c.has(1) ? (query[1] as Dim) : keyLength(key);
  return {
    batch: query[0] as Dim,
    queries: query[1] as Dim,
    keys: add(past, length),
    width,
    valueWidth: valueWidth(value, heads) ?? width,
    heads,
  };
}

function keyLength(key: Shape | undefined): Dim {
  return key?.[key.length === 4 ? 2 : 1] ?? unknownDim();
}

function valueWidth(value: Shape | undefined, heads: number): Dim | undefined {
  if (!value) return undefined;
  return value.length === 4 ? mul(heads, value[3] as Dim) : value[2];
}

function inferMultiHead(c: InferContext, pastIndex: number): Inferred[] {
  const dtype = c.dtype(0);
  const sizes = multiHead(c, pastIndex);
  if (!sizes) return [tensor(dtype, undefined)];
  const { batch, queries, keys, width, heads } = sizes;
  const present = (total: Dim) => tensor(dtype, [batch, heads, keys, share(total, heads)]);
  return [
    tensor(dtype, [batch, queries, sizes.valueWidth]),
    present(width),
    present(sizes.valueWidth),
    tensor(dtype, [batch, heads, queries, keys]),
  ];
}

function multiHeadCost(c: InferContext, pastIndex: number): Dim | undefined {
  const sizes = multiHead(c, pastIndex);
  if (!sizes) return undefined;
  const { batch, queries, keys, width } = sizes;
  return scoresCost(batch, queries, keys, add(width, sizes.valueWidth));
}

/** Query [B, S, N * H], or Q, K and V in one [B, S, (N + 2 Nkv) * H] when there is no key. */
function groupQuery(c: InferContext) {
  const query = c.shape(0);
  if (!query) return undefined;
  const heads = c.node.int('num_heads', 1);
  const keyHeads = c.node.int('kv_num_heads', 1);
  const isPacked = !c.has(1);
  const size = share(query[2], isPacked ? heads + 2 * keyHeads : heads);
  return {
    batch: query[0] as Dim,
    queries: query[1] as Dim,
    heads,
    keyHeads,
    size,
    keys: groupKeys(c, query[1] as Dim),
  };
}

/** The buffer of the past is as long as the present where both share it: the longer one counts. */
function groupKeys(c: InferContext, fresh: Dim): Dim {
  const past = c.has(3) ? c.shape(3)?.[2] : 0;
  const total = c.known(6)?.[0];
  if (total === undefined) return past === 0 ? fresh : unknownDim();
  return past === undefined ? unknownDim() : max(past, total);
}

define(
  selfAttention('Attention', { past: 4, weight: 1 }, 0),
  selfAttention('QAttention', { past: 8, weight: 1 }, 2),
  {
    op: 'MultiHeadAttention',
    domain,
    infer: (c) => inferMultiHead(c, 6),
    cost: (c) => multiHeadCost(c, 6),
    axes: multiHeadAxes,
    resize: resizeHeads,
  },
  {
    op: 'DecoderMaskedMultiHeadAttention',
    domain,
    infer: (c) => inferMultiHead(c, 5),
    cost: (c) => multiHeadCost(c, 5),
  },
  {
    op: 'GroupQueryAttention',
    domain,
    infer(c) {
      const dtype = c.dtype(0);
      const sizes = groupQuery(c);
      if (!sizes) return [tensor(dtype, undefined)];
      const { batch, queries, heads, keyHeads, size, keys } = sizes;
      const present = tensor(c.has(3) ? c.dtype(3) : dtype, [batch, keyHeads, keys, size]);
      return [tensor(dtype, [batch, queries, mul(size, heads)]), present, present];
    },
    cost(c) {
      const sizes = groupQuery(c);
      if (!sizes) return undefined;
      const { batch, queries, keys, heads, size } = sizes;
      return scoresCost(batch, queries, keys, mul(size, 2 * heads));
    },
    axes: groupQueryAxes,
    resize: resizeHeads,
  },
  {
    op: 'RotaryEmbedding',
    domain,
    infer: (c) => [sameAs(c, 0)],
    cost(c) {
      const cost = inputCost(c);
      return cost === undefined ? undefined : mul(cost, 2);
    },
    axes: rotaryAxes,
    resize: resizeHeads,
  },
  {
    // The whole input is the tokens' hidden state: [B, S, D] or [tokens, D]
    op: 'LongformerAttention',
    domain,
    infer: (c) => [sameAs(c, 0)],
    // Each token looks at `window` neighbours to either side.
    cost(c) {
      const x = c.shape(0);
      if (!x) return undefined;
      const [batch, length, width] = x as [Dim, Dim, Dim];
      const projection = mul(product([batch, length, width]), mul(width, 6));
      const span = 2 * c.node.int('window', 1);
      return add(projection, scoresCost(batch, length, span, mul(width, 2)));
    },
  },
  {
    op: 'PackedMultiHeadAttention',
    domain,
    infer(c) {
      const query = c.shape(0);
      const value = c.shape(2);
      if (!query) return [tensor(c.dtype(0), undefined)];
      const heads = c.node.int('num_heads', 1);
      const width = query.length === 4 ? mul(heads, query[3] as Dim) : (value?.[1] ?? query[1]);
      return [tensor(c.dtype(0), [query[0] as Dim, width as Dim])];
    },
  },
  {
    // [1, heads, queries, keys], from a table [buckets, heads]
    op: 'RelativePositionBias',
    domain,
    infer(c) {
      const heads = c.shape(0)?.[1] ?? unknownDim();
      const lengths = [1, 2].map((i) => c.known(i)?.[0] ?? unknownDim());
      return [tensor(c.dtype(0), [1, heads, ...lengths])];
    },
  },
  {
    // query [B, S, D] → [B, heads, S, S]
    op: 'GatedRelativePositionBias',
    domain,
    infer(c) {
      const query = c.shape(0);
      const bias = c.shape(2);
      if (query?.length !== 3) {
        return [tensor(c.dtype(0), bias && [unknownDim(), ...bias.slice(1)])];
      }
      const [batch, length] = query as [Dim, Dim, Dim];
      return [tensor(c.dtype(0), [batch, c.node.int('num_heads', 1), length, length])];
    },
  },
);
