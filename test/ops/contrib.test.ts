// The operators of com.microsoft have no node tests: onnxruntime itself says what types they give.

import { describe, test } from '@jest/globals';
import { attr } from '../../src/graph/index.ts';
import { type Case, constant, expectSameTypes, fed, float, type Input, index } from './one-node.ts';

const ms = (op: string, inputs: Case['inputs'], rest: Omit<Case, 'op' | 'inputs'> = {}): Case => ({
  op,
  domain: 'com.microsoft',
  inputs,
  ...rest,
});

const scale = constant('float32', [], 0.02);
const zero = constant('uint8', [], 128);
const u8 = (...shape: number[]): Input => ({ dtype: 'uint8', shape, below: 200 });
const quantised = (...shape: number[]): Input[] => [u8(...shape), scale, zero];
const filled = (dtype: Input['dtype'], shape: number[], value: number): Input => {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return { dtype, shape, values: new Array<number>(size).fill(value) };
};
/** As many outputs, all made. */
const made = (count: number) => ({ outputs: new Array<boolean>(count).fill(true) });

const CASES: readonly Case[] = [
  ms('QLinearAdd', [...quantised(2, 3, 4), ...quantised(4), scale, zero]),
  ms('QLinearMul', [...quantised(2, 3, 1), ...quantised(3, 4), scale, zero]),
  ms('QLinearAveragePool', [...quantised(1, 3, 8, 8), scale, zero], {
    attrs: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
  }),
  ms('QLinearAveragePool', [...quantised(1, 8, 9, 3), scale, zero], {
    attrs: { kernel_shape: [2, 2], strides: [2, 2], channels_last: 1 },
  }),
  ms('QLinearGlobalAveragePool', [...quantised(2, 3, 8, 8), scale, zero]),
  ms('QLinearGlobalAveragePool', [...quantised(2, 8, 8, 3), scale, zero], {
    attrs: { channels_last: 1 },
  }),
  ms('QLinearConcat', [scale, zero, ...quantised(2, 3, 4), ...quantised(2, 5, 4)], {
    attrs: { axis: 1 },
  }),
  ms('QLinearLeakyRelu', [...quantised(2, 3), scale, zero], { attrs: { alpha: attr.float(0.1) } }),
  ms('QLinearSigmoid', [...quantised(2, 3), scale, zero]),
  ms('QLinearSoftmax', [...quantised(2, 3), scale, zero], { attrs: { axis: -1, opset: 13 } }),
  ms('QLinearWhere', [fed('bool', 2, 1), ...quantised(3), ...quantised(2, 3), scale, zero]),
  ms('QLinearConv', [...quantised(1, 8, 8, 3), u8(4, 3, 3, 3), scale, zero, scale, zero], {
    attrs: { channels_last: 1, pads: [1, 1, 1, 1], strides: [2, 2] },
  }),
  ms('QGemm', [...quantised(2, 8), u8(5, 8), scale, zero, undefined, scale, zero], {
    attrs: { transB: 1 },
  }),
  ms('QGemm', [...quantised(2, 8), u8(8, 5), scale, zero]),
  ms('DynamicQuantizeMatMul', [float(2, 3, 8), u8(8, 5), scale, zero]),
  ms('MatMulIntegerToFloat', [u8(2, 3, 8), u8(8, 5), scale, scale, zero, zero]),
  ms(
    'DynamicQuantizeLSTM',
    [
      float(7, 2, 4),
      filled('uint8', [1, 4, 12], 130),
      filled('uint8', [1, 3, 12], 130),
      float(1, 24),
      ...[undefined, undefined, undefined, undefined],
      filled('float32', [1], 0.1),
      filled('uint8', [1], 128),
      filled('float32', [1], 0.1),
      filled('uint8', [1], 128),
    ],
    { attrs: { hidden_size: 3 }, ...made(3) },
  ),
  ms(
    'QAttention',
    [u8(2, 5, 8), filled('uint8', [8, 24], 130), float(24), scale, scale, undefined, zero, zero],
    {
      attrs: { num_heads: 2 },
    },
  ),
  ms('Attention', [float(2, 5, 8), float(8, 24), float(24)], {
    attrs: { num_heads: 2 },
    ...made(2),
  }),
  ms('Attention', [float(2, 5, 8), float(8, 20), float(20)], {
    attrs: { num_heads: 2, qkv_hidden_sizes: [8, 8, 4] },
  }),
  ms('Attention', [float(2, 5, 8), float(8, 24), float(24), undefined, float(2, 2, 2, 3, 4)], {
    attrs: { num_heads: 2, unidirectional: 1 },
    ...made(2),
  }),
  ms('MultiHeadAttention', [float(2, 5, 8), float(2, 7, 8), float(2, 7, 12)], {
    attrs: { num_heads: 2 },
    ...made(3),
  }),
  ms('MultiHeadAttention', [float(2, 5, 8), float(2, 2, 7, 4), float(2, 2, 7, 4)], {
    attrs: { num_heads: 2 },
  }),
  ms(
    'MultiHeadAttention',
    [
      ...[float(2, 1, 8), float(2, 1, 8), float(2, 1, 8)],
      ...[undefined, undefined, undefined],
      ...[float(2, 2, 6, 4), float(2, 2, 6, 4)],
    ],
    { attrs: { num_heads: 2 }, ...made(3) },
  ),
  ms(
    'GroupQueryAttention',
    [
      ...[float(2, 1, 32), float(2, 1, 16), float(2, 1, 16)],
      ...[float(2, 2, 6, 8), float(2, 2, 6, 8)],
      ...[filled('int32', [2], 4), constant('int32', [], 5)],
    ],
    { attrs: { num_heads: 4, kv_num_heads: 2 }, ...made(3) },
  ),
  ms(
    'GroupQueryAttention',
    [
      ...[float(1, 3, 64), undefined, undefined, float(1, 2, 0, 8), float(1, 2, 0, 8)],
      ...[filled('int32', [1], 2), constant('int32', [], 3)],
    ],
    { attrs: { num_heads: 4, kv_num_heads: 2 }, ...made(3) },
  ),
  ms('SkipLayerNormalization', [float(2, 3, 8), float(2, 3, 8), float(8), float(8)], {
    outputs: [true, false, false, true],
  }),
  ms('SkipSimplifiedLayerNormalization', [float(2, 3, 8), float(2, 3, 8), float(8)], {
    outputs: [true, false, false, true],
  }),
  { op: 'SimplifiedLayerNormalization', inputs: [float(2, 3, 8), float(8)], ...made(2) },
  ms(
    'EmbedLayerNormalization',
    [
      ...[index(9, 'int32', 2, 5), index(2, 'int32', 2, 5)],
      ...[float(9, 8), float(6, 8), float(2, 8), float(8), float(8)],
      index(2, 'int32', 2, 5),
    ],
    made(3),
  ),
  ms('BiasGelu', [float(2, 3, 8), float(8)]),
  ms('Gelu', [float(2, 3)]),
  ms('FastGelu', [float(2, 3, 8), float(8)]),
  ms('QuickGelu', [float(2, 3)]),
  ms('FusedMatMul', [float(2, 5, 3), float(2, 4, 5)], {
    attrs: { transA: 1, transB: 1, alpha: attr.float(0.5) },
  }),
  ms('FusedMatMul', [float(3, 2, 5), float(2, 5, 4)], { attrs: { transBatchA: 1 } }),
  ms('TransposeMatMul', [float(5, 3), float(5, 4)], { attrs: { transA: 1 } }),
  ms('FusedConv', [float(1, 3, 8, 8), float(4, 3, 3, 3), float(4)], {
    attrs: { activation: 'Relu', strides: [2, 2] },
  }),
  ms('FusedGemm', [float(2, 8), float(5, 8), float(5)], {
    attrs: { activation: 'Relu', transB: 1 },
  }),
  ms(
    'MatMulNBits',
    [float(2, 3, 32), filled('uint8', [5, 2, 8], 17), filled('float32', [5, 2], 0.1)],
    { attrs: { K: 32, N: 5, bits: 4, block_size: 16 } },
  ),
  ms('MatMulBnb4', [float(2, 3, 32), filled('uint8', [80], 17), filled('float32', [10], 0.1)], {
    attrs: { K: 32, N: 5, block_size: 16, quant_type: 1 },
  }),
  ms(
    'GatherBlockQuantized',
    [filled('uint8', [9, 16], 17), index(9, 'int64', 2, 3), filled('float32', [9, 2], 0.1)],
    { attrs: { gather_axis: 0, quantize_axis: 1, block_size: 16, bits: 4 } },
  ),
  ms('QuantizeLinear', [float(2, 3), scale, constant('uint16', [], 9)]),
  ms('DequantizeLinear', quantised(2, 3)),
  ms('RotaryEmbedding', [float(2, 3, 16), filled('int64', [1], 0), float(9, 4), float(9, 4)], {
    attrs: { num_heads: 2 },
  }),
  ms('NhwcMaxPool', [u8(1, 8, 8, 3)], { attrs: { kernel_shape: [3, 3], strides: [2, 2] } }),
  ms('GridSample', [float(1, 3, 4, 4), float(1, 5, 6, 2)]),
  ms('Inverse', [float(2, 3, 3)]),
  ms('Trilu', [float(2, 3, 3)]),
  ms('CropAndResize', [
    float(2, 3, 8, 8),
    float(5, 4),
    filled('int32', [5], 1),
    constant('int32', [2], 4, 6),
  ]),
  ms('ExpandDims', [float(2, 3), constant('int32', [], -1)]),
  ms('Range', [constant('int64', [], 2), constant('int64', [], 11), constant('int64', [], 3)]),
  ms('Pad', [float(2, 3), constant('int64', [4], 1, 0, 0, 2)]),
  ms('WordConvEmbedding', [index(5, 'int32', 4, 9), float(6, 1, 3, 8), float(6), float(5, 8)]),
  ms('SampleOp', [float(2, 3)]),
  ms('MurmurHash3', [fed('int64', 2, 3)]),
  ms('CDist', [float(4, 3), float(5, 3)], { attrs: { metric: 'euclidean' } }),
  ms('GatherND', [float(4, 3, 2), index(3, 'int64', 5, 2)]),
  ms('NGramRepeatBlock', [index(9, 'int64', 2, 5), float(2, 9)], { attrs: { ngram_size: 3 } }),
];

describe('com.microsoft operators give the types onnxruntime gives', () => {
  test.each(CASES.map((item, i) => [`${i} ${item.op}`, item] as const))('%s', async (_, item) => {
    await expectSameTypes(item);
  });
});
