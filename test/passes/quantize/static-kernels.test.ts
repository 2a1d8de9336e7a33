// Where Q and DQ must stand so that onnxruntime runs integer kernels, and nothing else, between the
// first and the last product.

import { describe, expect, it } from '@jest/globals';
import { kernelsOf, quantized, similarity } from './static-helper.ts';

const WEIGHTS = `
  float[4, 4, 3, 3] w = random,
  float[4, 4, 3, 3] v = random,
  float[4] b = random`;

const cnn = (body: string, output = 'float[1, 4, 8, 8] y') =>
  `g (float[1, 4, 8, 8] x) => (${output}) <${WEIGHTS}> {
    ${body}
  }`;
const CONV = (name: string, input: string, output: string, weight = 'w') =>
  `[${name}] ${output} = Conv <pads=[1, 1, 1, 1]> (${input}, ${weight}, b)`;

const BORDERS = ['DequantizeLinear', 'QuantizeLinear'];

const CASES: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'Relu is part of the convolution',
    cnn(`${CONV('c1', 'x', 'a')}
      r = Relu(a)
      ${CONV('c2', 'r', 'y', 'v')}`),
    ['QLinearConv', 'QLinearConv'],
  ],
  [
    'Clip between 0 and 6, too',
    cnn(`low = Constant <value_float=0.0> ()
      high = Constant <value_float=6.0> ()
      ${CONV('c1', 'x', 'a')}
      r = Clip(a, low, high)
      ${CONV('c2', 'r', 'y', 'v')}`),
    ['QLinearConv', 'QLinearConv'],
  ],
  [
    'a residual and its Relu',
    cnn(`${CONV('c1', 'x', 'a')}
      ${CONV('c2', 'a', 'd', 'v')}
      s = Add(a, d)
      r = Relu(s)
      ${CONV('c3', 'r', 'y')}`),
    ['QLinearAdd', 'QLinearConv', 'QLinearConv', 'QLinearConv'],
  ],
  [
    'x sigmoid(x)',
    cnn(`${CONV('c1', 'x', 'a')}
      s = Sigmoid(a)
      m = Mul(a, s)
      ${CONV('c2', 'm', 'y', 'v')}`),
    ['QLinearConv', 'QLinearConv', 'QLinearMul', 'QLinearSigmoid'],
  ],
  [
    'a constant beside an activation',
    cnn(`${CONV('c1', 'x', 'a')}
      s = Add(a, b4)
      ${CONV('c2', 's', 'y', 'v')}`).replace(
      'float[4] b ',
      'float[4, 1, 1] b4 = random, float[4] b ',
    ),
    ['QLinearAdd', 'QLinearConv', 'QLinearConv'],
  ],
  [
    'parts of a Split put together',
    cnn(`${CONV('c1', 'x', 'a')}
      l, r = Split <axis=1> (a)
      m = LeakyRelu(l)
      s = Concat <axis=1> (m, r)
      ${CONV('c2', 's', 'y', 'v')}`),
    ['QLinearConcat', 'QLinearConv', 'QLinearConv', 'QLinearLeakyRelu', 'Split'],
  ],
  [
    'a classifier',
    cnn(
      `${CONV('c1', 'x', 'a')}
      r = Relu(a)
      p = MaxPool <kernel_shape=[2, 2], strides=[2, 2]> (r)
      q = AveragePool <kernel_shape=[2, 2], strides=[2, 2]> (p)
      m = GlobalAveragePool(q)
      f = Flatten(m)
      [fc] y = Gemm <transB=1> (f, u, b)`,
      'float[1, 4] y',
    ).replace('float[4] b ', 'float[4, 4] u = random, float[4] b '),
    [
      ...['Flatten', 'MaxPool', 'QGemm', 'QLinearAveragePool', 'QLinearConv'],
      'QLinearGlobalAveragePool',
    ],
  ],
];

describe('integers from end to end', () => {
  // onnxruntime on x64 turns int8 in Q/DQ form into uint8 where only one node reads it, so that kernels
  // find a mixture.
  const forms = [
    { activations: 'uint8', format: 'qdq' },
    { activations: 'uint8', format: 'qoperator' },
    { activations: 'int8', format: 'qoperator' },
  ] as const;
  for (const form of forms) {
    it.each(CASES)(`%s, ${form.activations} ${form.format}`, async (_, text, expected) => {
      const result = await quantized(text, form);
      const kernels = await kernelsOf(result.model, result.feeds[0] ?? new Map());
      const inner = kernels.map((op) => op.replace(/^Nhwc/, ''));
      const moved = new Set([...BORDERS, 'Transpose']);
      expect(inner.filter((op) => !moved.has(op))).toEqual([...expected].sort());
      expect(kernels.filter((op) => op === 'QuantizeLinear')).toHaveLength(1);
      expect(kernels.filter((op) => op === 'DequantizeLinear').length).toBeLessThanOrEqual(1);
      expect(await similarity(result)).toBeGreaterThan(0.998);
    });
  }
});

describe('symmetric integers', () => {
  it.each([
    ['int8', 'qoperator'],
    ['uint8', 'qdq'],
  ] as const)('of %s in %s form are clipped where a Relu stood', async (activations, format) => {
    const text = CASES.find(([name]) => name.startsWith('a residual'))?.[1] ?? '';
    const options = { activations, format, symmetricActivations: true };
    const result = await quantized(text, options);
    const kernels = await kernelsOf(result.model, result.feeds[0] ?? new Map());
    const count = (op: string) => kernels.filter((kernel) => kernel === op).length;
    expect([count('QLinearConv'), count('QLinearAdd'), count('Clip')]).toEqual([3, 1, 1]);
    expect(count('DequantizeLinear')).toBe(1);
    expect(await similarity(result)).toBeGreaterThan(0.997);
  });
});

describe('products with float neighbours', () => {
  const MLP = `g (float[3, 16] x) => (float[3, 8] y) <
    float[16, 32] w = random,
    float[32] b = random,
    float[32, 8] v = random
  > {
    [one] a = MatMul(x, w)
    s = Add(a, b)
    r = Relu(s)
    [two] y = MatMul(r, v)
  }`;

  it('have rounded operands, and float results where nobody wants integers', async () => {
    const result = await quantized(MLP);
    const kernels = await kernelsOf(result.model, result.feeds[0] ?? new Map());
    // onnxruntime takes product, bias and Relu together.
    expect(kernels).toEqual(['MatMulIntegerToFloat', 'QGemm', 'QuantizeLinear']);
    expect(await similarity(result)).toBeGreaterThan(0.998);
  });

  it('leave floats to those who read floats', async () => {
    const result = await quantized(`g (float[3, 16] x) => (float[3, 16] y) <
      float[16, 16] w = random
    > {
      t = Tanh(x)
      [one] a = MatMul(t, w)
      y = Add(a, t)
    }`);
    const add = [...result.model.graph.nodes].find(({ op }) => op === 'Add');
    expect(add?.inputs[1]?.name).toBe('t');
  });

  it('are rounded before data is moved, not after', async () => {
    const result = await quantized(`g (float[3, 16] x) => (float[16, 8] y) <
      float[16, 16] w = random,
      float[3, 8] v = random
    > {
      [one] a = MatMul(x, w)
      s = Sin(a)
      t = Transpose <perm=[1, 0]> (s)
      [two] y = MatMul(t, v)
    }`);
    const transpose = [...result.model.graph.nodes].find(({ op }) => op === 'Transpose');
    expect(transpose?.inputs[0]?.producer?.op).toBe('DequantizeLinear');
    const kernels = await kernelsOf(result.model, result.feeds[0] ?? new Map());
    expect(kernels).not.toContain('DequantizeLinear');
    expect(kernels.filter((op) => op === 'MatMulIntegerToFloat')).toHaveLength(2);
  });

  it('of two activations are rounded where that is asked for', async () => {
    const text = `g (float[2, 3, 16] x) => (float[2, 3, 3] y) {
      k = Sin(x)
      t = Transpose <perm=[0, 2, 1]> (k)
      [scores] y = MatMul(x, t)
    }`;
    const float = await quantized(text);
    expect(float.decided['scores']).toMatch(/^float: both operands are activations/);
    const named = await quantized(text, {}, { wanted: { scores: 'int8' } });
    const all = await quantized(text, { products: true });
    for (const result of [named, all]) {
      expect(result.decided['scores']).toBe('int8');
      const kernels = await kernelsOf(result.model, result.feeds[0] ?? new Map());
      expect(kernels).toContain('MatMulIntegerToFloat');
      expect(await similarity(result)).toBeGreaterThan(0.998);
    }
  });
});
