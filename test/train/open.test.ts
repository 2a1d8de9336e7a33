// Opened operators against onnxruntime's own kernels, on the same inputs.

import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../src/ops/index.ts';
import { COMPARABLE, createRunner } from '../../src/runtime/runner.ts';
import { compareTensors } from '../../src/tensor/compare.ts';
import { isFloat } from '../../src/tensor/dtype.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { openedOps, openFused } from '../../src/train/open.ts';
import { parseModel } from '../helpers/parse.ts';

const run = createRunner({ ...COMPARABLE, optimization: 'disabled', threads: 1 });

interface Case {
  readonly text: string;
  readonly fixed?: Readonly<Record<string, Tensor>>;
}

const ms = (text: string, fixed?: Case['fixed']): Case => ({
  text: `<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> ${text}`,
  ...(fixed ? { fixed } : {}),
});
const onnx21 = (text: string, fixed?: Case['fixed']): Case => ({
  text: `<ir_version: 10, opset_import: ["" : 21]> ${text}`,
  ...(fixed ? { fixed } : {}),
});
const onnx23 = (text: string, fixed?: Case['fixed']): Case => ({
  text: `<ir_version: 11, opset_import: ["" : 23]> ${text}`,
  ...(fixed ? { fixed } : {}),
});
const int32 = (shape: number[], values: number[]) => Tensor.of('int32', shape, values);
const int64 = (shape: number[], values: number[]) => Tensor.int64(values).reshape(shape);
const x3 = 'float[2,3,8] x';

const ACTIVATIONS: Case[] = [
  ms(`g (${x3}) => (float[2,3,8] y) { y = com.microsoft.Gelu(x) }`),
  ms(`g (${x3}, float[8] b) => (float[2,3,8] y) { y = com.microsoft.BiasGelu(x, b) }`),
  ms(`g (${x3}) => (float[2,3,8] y) { y = com.microsoft.FastGelu(x) }`),
  ms(`g (${x3}, float[8] b) => (float[2,3,8] y) { y = com.microsoft.FastGelu(x, b) }`),
  ms(`g (${x3}) => (float[2,3,8] y) { y = com.microsoft.QuickGelu(x) }`),
  ms(`g (${x3}) => (float[2,3,8] y) { y = com.microsoft.QuickGelu<alpha = 0.5>(x) }`),
];

const PRODUCTS: Case[] = [
  ms(
    'g (float[2,3,4] a, float[2,5,4] b) => (float[2,3,5] y) { y = com.microsoft.FusedMatMul<transB = 1, alpha = 0.25>(a, b) }',
  ),
  ms(
    'g (float[3,2,4] a, float[2,4,5] b) => (float[2,3,5] y) { y = com.microsoft.FusedMatMul<transBatchA = 1>(a, b) }',
  ),
  ms(
    'g (float[2,4,3] a, float[4,2,5] b) => (float[2,3,5] y) { y = com.microsoft.FusedMatMul<transA = 1, transBatchB = 1>(a, b) }',
  ),
  ms(
    'g (float[3,4] a, float[3,5] b) => (float[4,5] y) { y = com.microsoft.TransposeMatMul<transA = 1>(a, b) }',
  ),
  ...['Relu', 'Tanh', 'Sigmoid'].map((name) =>
    ms(
      `g (float[2,3] a, float[4,3] b, float[4] c) => (float[2,4] y) { y = com.microsoft.FusedGemm<activation = "${name}", transB = 1, alpha = 0.5, beta = 2.0>(a, b, c) }`,
    ),
  ),
  ms(
    'g (float[2,3] a, float[3,4] b, float[4] c) => (float[2,4] y) { y = com.microsoft.FusedGemm<activation = "LeakyRelu", activation_alpha = 0.3>(a, b, c) }',
  ),
  ...[
    ['Relu', ''],
    ['LeakyRelu', '0.2'],
    ['Clip', '-0.5, 0.75'],
    ['HardSigmoid', '0.25, 0.4'],
  ].map(([name, numbers]) =>
    ms(
      `g (float[1,2,5,5] x, float[3,2,3,3] w, float[3] b) => (float[1,3,5,5] y) { y = com.microsoft.FusedConv<activation = "${name}"${numbers ? `, activation_params = [${numbers}]` : ''}, pads = [1, 1, 1, 1]>(x, w, b) }`,
    ),
  ),
  ms(
    'g (float[1,2,5,5] x, float[3,2,3,3] w, float[3] b, float[1,3,3,3] z) => (float[1,3,3,3] y) { y = com.microsoft.FusedConv<activation = "Relu">(x, w, b, z) }',
  ),
];

// One region lies partly outside, one is smaller than a pixel, one wider than the image is.
const BOXES = Tensor.of(
  'float32',
  [4, 4],
  [1, 2, 9, 7, -3, -2, 4, 5, 5, 5, 5.2, 5.1, 0, 0, 40, 24],
);
const REGIONS: Case[] = ['half_pixel', 'output_half_pixel'].map((mode) =>
  onnx21(
    `g (float[2,3,6,8] x, float[4,4] r, int64[4] b) => (float[4,3,2,3] y) { y = RoiAlign<coordinate_transformation_mode = "${mode}", output_height = 2, output_width = 3, sampling_ratio = 2, spatial_scale = 0.5>(x, r, b) }`,
    { r: BOXES, b: int64([4], [0, 1, 1, 0]) },
  ),
);

const NORMS: Case[] = [
  ms(
    `g (${x3}, float[2,3,8] r, float[8] s, float[8] t, float[8] b) => (float[2,3,8] y, float[2,3,8] u) { y, m, d, u = com.microsoft.SkipLayerNormalization<epsilon = 0.001>(x, r, s, t, b) }`,
  ),
  ms(
    `g (${x3}, float[3,8] r, float[8] s) => (float[2,3,8] y) { y = com.microsoft.SkipLayerNormalization(x, r, s) }`,
  ),
  ms(
    `g (${x3}, float[2,3,8] r, float[8] s, float[8] b) => (float[2,3,8] y, float[2,3,8] u) { y, m, d, u = com.microsoft.SkipSimplifiedLayerNormalization<epsilon = 0.001>(x, r, s, b) }`,
  ),
  ms(`g (${x3}, float[8] s) => (float[2,3,8] y) { y = SimplifiedLayerNormalization(x, s) }`),
  ms(
    'g (int32[2,3] i, int32[2,3] j, float[7,8] w, float[5,8] p, float[2,8] q, float[8] s, float[8] t, int32[2,3] m) => (float[2,3,8] y, int32[2] n) { y, n = com.microsoft.EmbedLayerNormalization<epsilon = 0.001>(i, j, w, p, q, s, t, m) }',
    {
      i: int32([2, 3], [0, 6, 2, 3, 3, 1]),
      j: int32([2, 3], [0, 1, 1, 0, 0, 1]),
      m: int32([2, 3], [1, 1, 0, 1, 1, 1]),
    },
  ),
  ms(
    'g (int32[2,3] i, float[7,8] w, float[5,8] p, float[8] s, float[8] t, int32[2,3] k) => (float[2,3,8] y, float[2,3,8] e) { y, n, e = com.microsoft.EmbedLayerNormalization<epsilon = 0.001>(i, , w, p, , s, t, , k) }',
    { i: int32([2, 3], [0, 6, 2, 3, 3, 1]), k: int32([2, 3], [4, 0, 1, 2, 2, 2]) },
  ),
];

const table = 'float[6,2] c, float[6,2] s';
const positions = int64([2, 3], [0, 4, 1, 2, 3, 5]);
const ROTARIES: Case[] = [0, 1].flatMap((interleaved) => [
  ms(
    `g (float[2,2,3,4] x, int64[2,3] i, ${table}) => (float[2,2,3,4] y) { y = com.microsoft.RotaryEmbedding<interleaved = ${interleaved}>(x, i, c, s) }`,
    { i: positions },
  ),
  ms(
    `g (${x3}, int64[1] i, ${table}) => (float[2,3,8] y) { y = com.microsoft.RotaryEmbedding<interleaved = ${interleaved}>(x, i, c, s) }`,
    { i: int64([1], [2]) },
  ),
  onnx23(
    `g (float[2,2,3,4] x, ${table}, int64[2,3] i) => (float[2,2,3,4] y) { y = RotaryEmbedding<interleaved = ${interleaved}>(x, c, s, i) }`,
    { i: positions },
  ),
  onnx23(
    `g (float[2,2,3,6] x, ${table}, int64[2,3] i) => (float[2,2,3,6] y) { y = RotaryEmbedding<interleaved = ${interleaved}, rotary_embedding_dim = 4>(x, c, s, i) }`,
    { i: positions },
  ),
  onnx23(
    `g (${x3}, float[2,3,2] c, float[2,3,2] s) => (float[2,3,8] y) { y = RotaryEmbedding<interleaved = ${interleaved}, num_heads = 2>(x, c, s) }`,
  ),
]);

const qkv = 'float[2,3,8] q, float[2,5,8] k, float[2,5,6] v';
const ATTENTIONS: Case[] = [
  ms(
    'g (float[2,3,5] x, float[5,24] w, float[24] b) => (float[2,3,8] y) { y = com.microsoft.Attention<num_heads = 2>(x, w, b) }',
  ),
  ms(
    'g (float[2,3,5] x, float[5,22] w, float[22] b) => (float[2,3,6] y) { y = com.microsoft.Attention<num_heads = 2, unidirectional = 1, scale = 0.3, qkv_hidden_sizes = [8, 8, 6]>(x, w, b) }',
  ),
  ms(
    'g (float[2,3,5] x, float[5,24] w, float[24] b, int32[2,3] m) => (float[2,3,8] y) { y = com.microsoft.Attention<num_heads = 2>(x, w, b, m) }',
    { m: int32([2, 3], [1, 1, 0, 1, 1, 1]) },
  ),
  ms(
    'g (float[2,3,5] x, float[5,24] w, float[24] b, int32[2] m) => (float[2,3,8] y) { y = com.microsoft.Attention<num_heads = 2>(x, w, b, m) }',
    { m: int32([2], [2, 3]) },
  ),
  ms(
    'g (float[2,3,5] x, float[5,24] w, float[24] b, float[2,2,2,4,4] p) => (float[2,3,8] y, float[2,2,2,7,4] n) { y, n = com.microsoft.Attention<num_heads = 2, unidirectional = 1>(x, w, b, , p) }',
  ),
  ms(
    `g (${qkv}) => (float[2,3,6] y) { y = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v) }`,
  ),
  ms(
    `g (${qkv}, float[22] b, int32[2,5] m, float[1,2,3,5] a) => (float[2,3,6] y) { y = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v, b, m, a) }`,
    { m: int32([2, 5], [1, 1, 1, 0, 0, 1, 1, 1, 1, 1]) },
  ),
  ms(
    'g (float[2,3,8] q, float[2,3,8] k, float[2,3,8] v, float[2,2,4,4] i, float[2,2,4,4] j) => (float[2,3,8] y, float[2,2,7,4] n, float[2,2,7,4] o) { y, n, o = com.microsoft.MultiHeadAttention<num_heads = 2, unidirectional = 1>(q, k, v, , , , i, j) }',
  ),
  ms(
    'g (float[2,3,8] q, float[2,2,5,4] k, float[2,2,5,4] v) => (float[2,3,8] y) { y = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v) }',
  ),
  ...[
    ['', ''],
    ['softcap = 2.0, ', ''],
    ['do_rotary = 1, ', ', c, s'],
    ['do_rotary = 1, rotary_interleaved = 1, ', ', c, s'],
  ].map(([attrs, inputs]) =>
    ms(
      `g (float[2,3,64] q, float[2,3,32] k, float[2,3,32] v, int32[2] l, int32 t${inputs ? ', float[6,8] c, float[6,8] s' : ''}) => (float[2,3,64] y) { y, n, o = com.microsoft.GroupQueryAttention<${attrs}num_heads = 4, kv_num_heads = 2>(q, k, v, , , l, t${inputs}) }`,
      { l: int32([2], [2, 2]), t: int32([], [3]) },
    ),
  ),
  ms(
    'g (float[2,3,64] q, int32[2] l, int32 t) => (float[2,3,32] y) { y, n, o = com.microsoft.GroupQueryAttention<num_heads = 4, kv_num_heads = 2>(q, , , , , l, t) }',
    { l: int32([2], [2, 2]), t: int32([], [3]) },
  ),
  onnx23(
    'g (float[2,4,3,4] q, float[2,2,5,4] k, float[2,2,5,6] v) => (float[2,4,3,6] y) { y = Attention<softcap = 3.0>(q, k, v) }',
  ),
  onnx23(
    'g (float[2,3,8] q, float[2,5,8] k, float[2,5,8] v, bool[3,5] m) => (float[2,3,8] y) { y = Attention<q_num_heads = 2, kv_num_heads = 2>(q, k, v, m) }',
    { m: Tensor.of('bool', [3, 5], [1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0]) },
  ),
  onnx23(
    'g (float[2,2,4,4] q, float[2,2,4,4] k, float[2,2,4,4] v, float[2,1,4,4] m) => (float[2,2,4,4] y) { y = Attention<is_causal = 1, scale = 0.7>(q, k, v, m) }',
  ),
  onnx23(
    'g (float[2,2,3,4] q, float[2,2,3,4] k, float[2,2,3,4] v, float[2,2,2,4] i, float[2,2,2,4] j) => (float[2,2,3,4] y, float[2,2,5,4] n, float[2,2,5,4] o) { y, n, o = Attention(q, k, v, , i, j) }',
  ),
];

const CASES = { ACTIVATIONS, PRODUCTS, NORMS, REGIONS, ROTARIES, ATTENTIONS };

describe.each(Object.entries(CASES))('opening %s', (_family, cases) => {
  it.each(cases.map((one) => [one.text.slice(one.text.indexOf('{')), one] as const))(
    '%s',
    async (_text, one) => {
      const model = parseModel(one.text);
      inferTypes(model);
      const opened = model.clone();
      openFused(opened);
      const domains = [...opened.graph.nodes].map(({ op, domain }) => `${domain}:${op}`);
      expect(domains.filter((name) => openedOps().includes(name))).toEqual([]);
      const feeds = new Map(Object.entries(one.fixed ?? {}));
      for (const { name, dtype = 'float32', shape = [] } of model.graph.inputs) {
        if (!isFloat(dtype)) continue;
        const random = new Random(1, name);
        const sizes = shape.map(Number);
        const size = sizes.reduce((product, dim) => product * dim, 1);
        const values = Array.from({ length: size }, () => random.normal());
        feeds.set(name, Tensor.of(dtype, sizes, values));
      }
      const [expected, found] = [await run(model, feeds), await run(opened, feeds)];
      expect([...found.keys()]).toEqual([...expected.keys()]);
      for (const [name, tensor] of expected) {
        const own = found.get(name) as Tensor;
        const { relNorm, problem } = compareTensors(tensor, own, { rtol: 0, atol: 0 });
        // Both sum in float32, in another order.
        expect({ name, problem, isClose: relNorm < 2e-6 }).toEqual({ name, isClose: true });
      }
    },
  );
});

it('has a case for every operator that is opened', () => {
  const texts = Object.values(CASES).flatMap((cases) => cases.map(({ text }) => text));
  const isTested = (key: string) => {
    const [domain, op = ''] = key.split(':');
    const name = domain ? `${domain}.${op}` : ` ${op}`;
    return texts.some((text) => text.includes(`${name}<`) || text.includes(`${name}(`));
  };
  expect(openedOps().filter((key) => !isTested(key))).toEqual([]);
});
