// Dynamic quantisation beyond products: convolutions, tables, recurrent networks, Attention; results
// beside the float model, and how their weights are stored.

import { describe, expect, it } from '@jest/globals';
import type { Model } from '../../../src/graph/index.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { errorBeside, quantized } from './dynamic-helper.ts';
import { nodesOf, normals, opsOf } from './weights-helper.ts';

const floats = (name: string, shape: readonly number[]): Feeds =>
  new Map([[name, Tensor.of('float32', shape, normals(shape.reduce((a, b) => a * b, 1)))]]);

/** Types of the large constants. */
const stored = (model: Model) =>
  [...model.graph.initializers]
    .filter(({ data }) => (data?.size ?? 0) > 300)
    .map(({ dtype }) => dtype);

describe('convolutions', () => {
  const forms: Record<string, [string, number[]]> = {
    'a bias, strides and pads': [
      `g (float[2, 8, 9, 9] x) => (float[2, 16, 5, 5] y)
      <float[16, 8, 3, 3] w = random, float[16] b = random> {
        [c] y = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, b)
      }`,
      [2, 8, 9, 9],
    ],
    groups: [
      `g (float[1, 8, 9, 9] x) => (float[1, 32, 5, 5] y) <float[32, 4, 3, 3] w = random> {
        [c] y = Conv<group = 2, dilations = [2, 2]>(x, w)
      }`,
      [1, 8, 9, 9],
    ],
    'one spatial axis': [
      `g (float[1, 16, 20] x) => (float[1, 32, 18] y)
      <float[32, 16, 3] w = random, float[32] b = random> {
        [c] y = Conv(x, w, b)
      }`,
      [1, 16, 20],
    ],
    'three of them': [
      `g (float[1, 4, 6, 6, 6] x) => (float[1, 12, 6, 6, 6] y) <float[12, 4, 3, 3, 3] w = random> {
        [c] y = Conv<auto_pad = "SAME_UPPER">(x, w)
      }`,
      [1, 4, 6, 6, 6],
    ],
  };
  it.each(Object.entries(forms))('with %s become ConvInteger', async (_, [text, shape]) => {
    for (const weights of ['int8', 'uint8'] as const) {
      for (const perChannel of [true, false]) {
        const options = { weights, perChannel, convolutions: true };
        const { model, decided } = await quantized(text, options);
        expect(decided).toEqual([['c', 'int8', undefined]]);
        expect(opsOf(model)).toContain('ConvInteger');
        expect(stored(model)).toEqual([weights]);
        expect(await errorBeside(text, model, floats('x', shape))).toBeLessThan(0.02);
      }
    }
  });

  it('stay float unless they are asked for', async () => {
    const [text] = forms['groups'] ?? [''];
    const { decided } = await quantized(text);
    const reason = 'quantised at run time, convolutions usually get slower: mode static suits them';
    expect(decided).toEqual([['c', 'float', reason]]);
    const asked = await quantized(text, {}, { wanted: { c: 'int8' } });
    expect(asked.decided).toEqual([['c', 'int8', undefined]]);
  });
});

describe('tables', () => {
  const IDS: Feeds = new Map([['ids', Tensor.of('int64', [2, 3], [0, 49, 7, 7, 12, 3])]]);
  const text = (dtype = 'float', attrs = '') => `g (int64[2, 3] ids) => (${dtype}[2, 3, 64] y)
    <${dtype}[50, 64] w = random> { [pick] y = Gather${attrs}(w, ids) }`;

  it.each(['int8', 'uint8'] as const)('of %s are picked from as bytes', async (weights) => {
    for (const perChannel of [true, false]) {
      for (const source of [text(), text('float16')]) {
        const { model, decided } = await quantized(source, { weights, perChannel });
        expect(decided).toEqual([['pick', 'int8', undefined]]);
        expect(stored(model)).toEqual([weights]);
        expect(await errorBeside(source, model, IDS)).toBeLessThan(0.012);
      }
    }
  });

  it('have one scale where columns are picked', async () => {
    const source = `g (int64[2, 3] ids) => (float[20, 2, 3] y) <float[20, 64] w = random> {
      [pick] y = Gather<axis = 1>(w, ids)
    }`;
    const { model } = await quantized(source);
    expect(opsOf(model)).toEqual(['DequantizeLinear', 'Gather']);
    expect(await errorBeside(source, model, IDS)).toBeLessThan(0.012);
  });

  it('may be left float', async () => {
    const { decided } = await quantized(text(), { embeddings: false });
    expect(decided).toEqual([['pick', 'float', 'embeddings stay float']]);
  });

  it('are no business of Gather of shapes', async () => {
    const source = `g (float[4, 5] x) => (int64 y) <int64 i = {1}> {
      s = Shape(x)
      y = Gather(s, i)
    }`;
    expect((await quantized(source)).decided).toEqual([]);
  });

  it.each([
    ['a Transpose', 't = Transpose<perm = [1, 0]>(w) [head] y = MatMul(e, t)'],
    ['Gemm', 'r = Reshape(e, rows) [head] y = Gemm<transB = 1>(r, w)'],
  ])('stay tied to a product through %s', async (_, head) => {
    const tied = `g (int64[2, 3] ids) => (float y)
      <float[50, 64] w = random, int64[2] rows = {6, 64}> {
      [pick] e = Gather(w, ids)
      ${head}
    }`.replace('(float y)', head.includes('Gemm') ? '(float[6, 50] y)' : '(float[2, 3, 50] y)');
    for (const weights of ['int8', 'uint8'] as const) {
      for (const perChannel of [true, false]) {
        const { model, decided } = await quantized(tied, { weights, perChannel });
        expect(decided.map(([, precision]) => precision)).toEqual(['int8', 'int8']);
        expect(stored(model)).toEqual([weights]);
        expect(await errorBeside(tied, model, IDS)).toBeLessThan(0.015);
      }
    }
  });
});

describe('recurrent networks', () => {
  const lstm = (directions: number, more = '') => `g (float[7, 2, 20] x) => (y, h, c)
    <float[${directions}, 64, 20] w = random, float[${directions}, 64, 16] r = random,
     float[${directions}, 128] b = random> {
      [rnn] y, h, c = LSTM<hidden_size = 16${more}>(x, w, r, b)
    }`;
  const X = floats('x', [7, 2, 20]);
  it.each([
    lstm(1),
    lstm(2, ', direction = "bidirectional"'),
    lstm(1, ', direction = "reverse", clip = 2.5'),
    lstm(1, ', activations = ["HardSigmoid", "Tanh", "Softsign"]'),
  ])('%#: LSTM has a quantised form', async (text) => {
    for (const perChannel of [true, false]) {
      const { model, decided } = await quantized(text, { perChannel });
      expect(decided).toEqual([['rnn', 'int8', undefined]]);
      expect(opsOf(model)).toEqual(['DynamicQuantizeLSTM']);
      expect(stored(model)).toEqual(['int8', 'int8']);
      expect(await errorBeside(text, model, X)).toBeLessThan(0.05);
    }
  });

  it('results that nobody reads stay unmade', async () => {
    const text = `g (float[7, 2, 20] x) => (h)
      <float[1, 64, 20] w = random, float[1, 64, 16] r = random, float[1, 2, 16] start = random> {
      [rnn] , h = LSTM<hidden_size = 16>(x, w, r, , , start)
    }`;
    const { model } = await quantized(text);
    expect(opsOf(model)).toEqual(['DynamicQuantizeLSTM']);
    expect(await errorBeside(text, model, X)).toBeLessThan(0.05);
  });

  const gru = (op: string, gates: number, more = '') => `g (float[7, 2, 20] x) => (y, h)
    <float[2, ${gates * 32}, 20] w = random, float[2, ${gates * 32}, 32] r = random> {
      [rnn] y, h = ${op}<hidden_size = 32, direction = "bidirectional"${more}>(x, w, r)
    }`;
  const why = (what: string) =>
    `there is no quantised ${what}: 8 bits in the file, float when it runs`;
  it.each([
    [gru('GRU', 3), why('GRU')],
    [gru('RNN', 1), why('RNN')],
    [
      `g (float[2, 7, 20] x) => (y) <float[1, 64, 20] w = random, float[1, 64, 16] r = random> {
        [rnn] y = LSTM<hidden_size = 16, layout = 1>(x, w, r)
      }`,
      why('LSTM with the batch first'),
    ],
  ])('%#: others are stored in 8 bits', async (text, reason) => {
    for (const perChannel of [true, false]) {
      const { model, decided } = await quantized(text, { perChannel });
      expect(decided).toEqual([['rnn', 'int8', reason]]);
      expect(stored(model)).toEqual(['int8', 'int8']);
      expect(nodesOf(model, 'DequantizeLinear')).toHaveLength(2);
      // onnxruntime itself has no kernel for layout 1.
      if (text.includes('layout')) continue;
      // Normally distributed weights make much of small differences, step after step.
      expect(await errorBeside(text, model, X)).toBeLessThan(0.2);
    }
  });
});

describe('Attention', () => {
  const attention = (attrs: string, inputs: string, more = '') => `
    <opset_import: ["": 17, "com.microsoft": 1]>
    g (float[2, 6, 32] x, int32[2] lengths) => (float[2, 6, 32] y)
    <float[32, 96] w = random, float[96] b = random${more}> {
      [att] y = com.microsoft.Attention<num_heads = 4${attrs}>(${inputs})
    }`;
  const FEEDS: Feeds = new Map([
    ...floats('x', [2, 6, 32]),
    ['lengths', Tensor.of('int32', [2], [6, 4])] as const,
  ]);
  it.each([
    ['plain', attention('', 'x, w, b')],
    ['causal, masked', attention(', unidirectional = 1', 'x, w, b, lengths')],
  ])('%s becomes QAttention', async (_, text) => {
    for (const weights of ['int8', 'uint8'] as const) {
      for (const perChannel of [true, false]) {
        const { model, decided } = await quantized(text, { weights, perChannel });
        expect(decided).toEqual([['att', 'int8', undefined]]);
        expect(opsOf(model)).toEqual(['DynamicQuantizeLinear', 'QAttention']);
        expect(stored(model)).toEqual([weights]);
        expect(await errorBeside(text, model, FEEDS)).toBeLessThan(0.1);
      }
    }
  });

  it('gets the bias that QAttention wants', async () => {
    const { model } = await quantized(attention('', 'x, w, , lengths'));
    // Float Attention without a bias crashes onnxruntime on the CPU: zeros stand in for it.
    const zeros = `{${Array(96).fill(0).join(', ')}}`;
    const same = attention('', 'x, w, b, lengths').replace('[96] b = random', `[96] b = ${zeros}`);
    expect(await errorBeside(same, model, FEEDS)).toBeLessThan(0.1);
  });

  it.each([
    [
      attention(', qkv_hidden_sizes = [32, 32, 32]', 'x, w, b'),
      'QAttention has no qkv_hidden_sizes',
    ],
    [
      attention('', 'x, w, b, , , bias', ', float[1, 4, 6, 6] bias = random'),
      'QAttention has no attention bias and no shared past',
    ],
  ])('%#: stays float with what QAttention has not', async (text, reason) => {
    const { decided, model } = await quantized(text);
    expect(decided).toEqual([['att', 'float', reason]]);
    expect(opsOf(model)).toEqual(['Attention']);
  });
});
