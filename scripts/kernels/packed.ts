// Kernels over packed weights of 2, 4 and 8 bits, and fused float operators of com.microsoft that
// rewrites make use of.

import type { Value } from '../../src/graph/index.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { type Sketch, type Trial, trial } from './sketch.ts';

const BLOCK = 16;
const [K, N] = [32, 8];

interface Packing {
  readonly bits: number;
  readonly scales?: DType;
  readonly zeros?: boolean;
  readonly bias?: boolean;
  readonly level?: number;
}

function nbits(s: Sketch, { bits, scales = 'float32', zeros, bias, level }: Packing): Value {
  const blocks = K / BLOCK;
  const inputs = [
    s.input(scales, [2, K]),
    s.weight('uint8', [N, blocks, (BLOCK * bits) / 8]),
    s.weight(scales, [N, blocks]),
    zeros ? s.weight('uint8', [N, Math.ceil((blocks * bits) / 8)]) : undefined,
    undefined,
    bias ? s.weight(scales, [N]) : undefined,
  ];
  while (inputs.at(-1) === undefined) inputs.pop();
  const attrs = { K, N, bits, block_size: BLOCK, accuracy_level: level };
  return s.contrib('MatMulNBits', inputs, attrs);
}

function table(s: Sketch, bits: number, scales: DType, zeros: boolean): Value {
  const inputs = [
    s.weight('uint8', [4, (K * bits) / 8]),
    s.input('int64', [2], 1),
    s.weight(scales, [4, K / BLOCK]),
    zeros ? s.weight('uint8', [4, Math.ceil(((K / BLOCK) * bits) / 8)]) : undefined,
  ];
  const attrs = { bits, block_size: BLOCK, gather_axis: 0, quantize_axis: 1 };
  return s.contrib('GatherBlockQuantized', zeros ? inputs : inputs.slice(0, 3), attrs);
}

const packed: Trial[] = [2, 4, 8].flatMap((bits) => {
  const product = (variant: string, packing: Omit<Packing, 'bits'>): Trial =>
    trial(`MatMulNBits:${bits}${variant}`, { gives: packing.scales ?? 'float32' }, (s) =>
      nbits(s, { bits, ...packing }),
    );
  const rows = (variant: string, scales: DType, zeros: boolean): Trial =>
    trial(`GatherBlockQuantized:${bits}${variant}`, { gives: scales }, (s) =>
      table(s, bits, scales, zeros),
    );
  return [
    product('', {}),
    product('-zero-points', { zeros: true }),
    product('-level4', { level: 4 }),
    product('-bias', { bias: true }),
    product('-fp16', { scales: 'float16' }),
    product('-bf16', { scales: 'bfloat16' }),
    rows('', 'float32', false),
    rows('-zero-points', 'float32', true),
    rows('-fp16', 'float16', false),
    rows('-bf16', 'bfloat16', false),
  ];
});

const others: Trial[] = [
  ...['MatMulBnb4', 'MatMulBnb4:fp16'].map((kernel) => {
    const dtype = kernel.endsWith('fp16') ? 'float16' : 'float32';
    return trial(kernel, { gives: dtype }, (s) => {
      const weights = [s.weight('uint8', [(K * N) / 2]), s.weight(dtype, [(K * N) / BLOCK])];
      const attrs = { K, N, block_size: BLOCK, quant_type: 1 };
      return s.contrib('MatMulBnb4', [s.input(dtype, [2, K]), ...weights], attrs);
    });
  }),
  ...[4, 8].map((bits) =>
    trial(`QMoE:${bits}`, {}, (s) => {
      const [experts, hidden, inner] = [2, 16, 16];
      const inputs = [s.input('float32', [2, hidden]), s.input('float32', [2, experts])];
      const fc1 = s.weight('uint8', [experts, inner, (hidden * bits) / 8]);
      const fc2 = s.weight('uint8', [experts, hidden, (inner * bits) / 8]);
      const s1 = s.weight('float32', [experts, inner], 1);
      const s2 = s.weight('float32', [experts, hidden], 1);
      const attrs = { k: 1, expert_weight_bits: bits, activation_type: 'relu' };
      return s.contrib('QMoE', [...inputs, fc1, s1, undefined, fc2, s2], attrs);
    }),
  ),
];

const x = (s: Sketch, dtype: DType = 'float32') => s.input(dtype, [1, 3, 8]);
const row = (s: Sketch, dtype: DType) => s.weight(dtype, [8]);

/** Fused operators, by the element type of what they work on. */
export const FUSED: Readonly<Record<string, (s: Sketch, dtype: DType) => Value>> = {
  'com.microsoft.Attention': (s, t) =>
    s.contrib('Attention', [x(s, t), s.weight(t, [8, 24]), s.weight(t, [24])], { num_heads: 2 }),
  MultiHeadAttention: (s, t) =>
    s.contrib('MultiHeadAttention', [x(s, t), x(s, t), x(s, t)], { num_heads: 2 }),
  GroupQueryAttention: (s, t) => {
    const qkv = [s.input(t, [1, 3, 16]), s.input(t, [1, 3, 8]), s.input(t, [1, 3, 8])];
    const lengths = [s.input('int32', [1], 2), s.weight('int32', [], 3)];
    const attrs = { num_heads: 2, kv_num_heads: 1 };
    const inputs = [...qkv, undefined, undefined, ...lengths];
    return s.contribs('GroupQueryAttention', inputs, 3, attrs)[0] as Value;
  },
  'com.microsoft.RotaryEmbedding': (s, t) => {
    const caches = [s.weight(t, [4, 4]), s.weight(t, [4, 4])];
    const inputs = [s.input(t, [1, 2, 3, 8]), s.input('int64', [1], 0), ...caches];
    return s.contrib('RotaryEmbedding', inputs);
  },
  SkipLayerNormalization: (s, t) =>
    s.contrib('SkipLayerNormalization', [x(s, t), x(s, t), row(s, t), row(s, t)]),
  SkipSimplifiedLayerNormalization: (s, t) =>
    s.contrib('SkipSimplifiedLayerNormalization', [x(s, t), x(s, t), row(s, t)]),
  SimplifiedLayerNormalization: (s, t) =>
    s.op('SimplifiedLayerNormalization', [x(s, t), row(s, t)], { axis: -1 }),
  BiasGelu: (s, t) => s.contrib('BiasGelu', [x(s, t), row(s, t)]),
  'com.microsoft.Gelu': (s, t) => s.contrib('Gelu', [x(s, t)]),
  FastGelu: (s, t) => s.contrib('FastGelu', [x(s, t)]),
  QuickGelu: (s, t) => s.contrib('QuickGelu', [x(s, t)]),
  FusedMatMul: (s, t) => s.contrib('FusedMatMul', [x(s, t), s.weight(t, [8, 4])]),
  FusedConv: (s, t) =>
    s.contrib('FusedConv', [s.input(t, [1, 2, 5, 5]), s.weight(t, [2, 2, 3, 3])], {
      activation: 'Relu',
    }),
  FusedGemm: (s, t) =>
    s.contrib('FusedGemm', [s.input(t, [2, 8]), s.weight(t, [8, 4])], { activation: 'Relu' }),
  EmbedLayerNormalization: (s, t) => {
    const ids = [s.input('int32', [1, 3], 1), s.input('int32', [1, 3], 1)];
    const tables = [s.weight(t, [4, 8]), s.weight(t, [4, 8]), s.weight(t, [2, 8])];
    const inputs = [...ids, ...tables, row(s, t), row(s, t)];
    return s.contribs('EmbedLayerNormalization', inputs, 2)[0] as Value;
  },
};

const fused: Trial[] = Object.entries(FUSED).map(([kernel, draw]) =>
  trial(kernel, {}, (s) => draw(s, 'float32')),
);

export const PACKED_TRIALS = [...packed, ...others, ...fused];
