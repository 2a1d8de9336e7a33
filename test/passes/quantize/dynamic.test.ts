// Dynamically quantised products: numbers against the formula said plainly, forms, what is shared, and
// what stays float with which reason.

import { describe, expect, it } from '@jest/globals';
import { allGraphs, type Model } from '../../../src/graph/index.ts';
import { affineOf, roundHalfEven } from '../../../src/tensor/affine.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import { errorBeside, numbersOf, quantized, runHere } from './dynamic-helper.ts';
import { largestDifference, nodesOf, normals, opsOf } from './weights-helper.ts';

const [M, K, N] = [5, 40, 30];
const X = normals(M * K);
const FEEDS = new Map([['x', Tensor.of('float32', [M, K], X)]]);

const MATMUL = `g (float[5, 40] x) => (float[5, 30] y) <float[40, 30] w = random> {
  [mm] y = MatMul(x, w)
}`;

const weightOf = (text: string) =>
  [...parseModel(text).graph.initializers]
    .find((v) => v.name === 'w')
    ?.data?.values() as Float32Array;

/** Each number through codes and back; `channelOf` says whose range an index belongs to. */
function rounded(
  values: Float32Array,
  type: 'int8' | 'uint8',
  channelOf: (i: number) => number = () => 0,
  reduceRange = false,
): Float64Array {
  const ranges = new Map<number, { min: number; max: number }>();
  values.forEach((value, i) => {
    const range = ranges.get(channelOf(i)) ?? { min: 0, max: 0 };
    ranges.set(channelOf(i), { min: Math.min(range.min, value), max: Math.max(range.max, value) });
  });
  return Float64Array.from(values, (value, i) => {
    const range = ranges.get(channelOf(i)) ?? { min: 0, max: 0 };
    const options = { type, symmetric: type === 'int8', reduceRange };
    const { scale, zeroPoint } = affineOf(range, options);
    const code = roundHalfEven(Math.fround(value / scale)) + zeroPoint;
    const [low, high] = type === 'int8' ? [-128, 127] : [0, 255];
    return (Math.max(low, Math.min(high, code)) - zeroPoint) * scale;
  });
}

function product(a: Float64Array, b: Float64Array): number[] {
  return Array.from({ length: M * N }, (_, i) => {
    const [row, column] = [Math.floor(i / N), i % N];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += (a[row * K + k] ?? 0) * (b[k * N + column] ?? 0);
    return sum;
  });
}

const bytesOf = (model: Model) =>
  [...allGraphs(model)]
    .flatMap((graph) => [...graph.initializers])
    .reduce((sum, { data }) => sum + (data?.byteLength ?? 0), 0);

describe('a product', () => {
  const cases = (['int8', 'uint8'] as const).flatMap((weights) =>
    [true, false].flatMap((perChannel) =>
      (['auto', 'fused'] as const).map((format) => ({ weights, perChannel, format })),
    ),
  );
  it.each(cases)('is what the formula says: %j', async (options) => {
    const { model, decided } = await quantized(MATMUL, options);
    expect(decided).toEqual([['mm', 'int8', undefined]]);
    const w = weightOf(MATMUL);
    const channel = options.perChannel ? (i: number) => i % N : undefined;
    const expected = product(rounded(X, 'uint8'), rounded(w, options.weights, channel));
    expect(largestDifference(expected, await numbersOf(model, FEEDS))).toBeLessThan(1e-4);
    const fused = options.format === 'fused' ? ['DynamicQuantizeMatMul'] : undefined;
    expect(opsOf(model)).toEqual(
      fused ?? ['Cast', 'DynamicQuantizeLinear', 'MatMulInteger', 'Mul', 'Mul'],
    );
    expect(bytesOf(model)).toBeLessThan(K * N + 5 * N + 8);
  });

  it.each([
    ['where the target saturates', {}, { exactProducts: false }, true],
    ['where it is asked for', { reduceRange: true }, {}, true],
    [
      'but not where it is asked not to be',
      { reduceRange: false },
      { exactProducts: false },
      false,
    ],
    ['and not for uint8', { weights: 'uint8' as const }, { exactProducts: false }, false],
  ])('has weights of 7 bits %s', async (_, options, parts, isReduced) => {
    const { model } = await quantized(MATMUL, { perChannel: false, ...options }, parts);
    const type = 'weights' in options ? options.weights : 'int8';
    const w = rounded(weightOf(MATMUL), type ?? 'int8', undefined, isReduced);
    const expected = product(rounded(X, 'uint8'), w);
    expect(largestDifference(expected, await numbersOf(model, FEEDS))).toBeLessThan(1e-4);
  });

  const forms = {
    'Gemm with all it has': `g (float[40, 5] x) => (float[5, 30] y)
      <float[30, 40] w = random, float[30] c = random> {
      y = Gemm<alpha = 0.5, beta = 2.0, transA = 1, transB = 1>(x, w, c)
    }`,
    'Gemm with a computed C': `g (float[5, 40] x, float[5, 1] c) => (float[5, 30] y)
      <float[40, 30] w = random> { y = Gemm<beta = 3.0>(x, w, c) }`,
    'Gemm with a bias': `g (float[5, 40] x) => (float[5, 30] y)
      <float[40, 30] w = random, float[30] c = random> { y = Gemm(x, w, c) }`,
    'MatMul and a sum': `g (float[2, 5, 40] x) => (float[2, 5, 30] y)
      <float[40, 30] w = random, float[30] c = random> { m = MatMul(x, w) y = Add(c, m) }`,
    'MatMul of a vector': `g (float[40] x) => (float[30] y)
      <float[40, 30] w = random> { y = MatMul(x, w) }`,
    'MatMul with a stack of weights': `g (float[3, 5, 40] x) => (float[3, 5, 30] y)
      <float[3, 40, 30] w = random> { y = MatMul(x, w) }`,
    'MatMul of a transposed weight': `g (float[5, 40] x) => (float[5, 30] y)
      <float[30, 40] w = random> { t = Transpose(w) y = MatMul(x, t) }`,
    FusedMatMul: `<opset_import: ["": 17, "com.microsoft": 1]>
      g (float[5, 40] x) => (float[5, 30] y) <float[30, 40] w = random> {
      y = com.microsoft.FusedMatMul<transB = 1, alpha = 0.25>(x, w)
    }`,
    'half precision': `g (float16[5, 40] x) => (float16[5, 30] y)
      <float16[40, 30] w = random, float16[30] c = random> { y = Gemm<beta = 2.0>(x, w, c) }`,
    'an old opset': `<opset_import: ["": 7]> g (float[5, 40] x) => (float[5, 30] y)
      <float[40, 30] w = random> { y = MatMul(x, w) }`,
  };
  it.each(Object.entries(forms))('takes every form: %s', async (_, text) => {
    const feeds = new Map(
      parseModel(text).graph.inputs.map(({ name, dtype, shape }) => {
        const sizes = shape as number[];
        const values = normals(sizes.reduce((a, b) => a * b, 1));
        const half = Uint16Array.from(values, (x) => (x > 0 ? 0x3c00 : 0xb800));
        const isHalf = dtype === 'float16';
        return [name, Tensor.of(dtype ?? 'float32', sizes, isHalf ? half : values)];
      }),
    );
    for (const format of ['auto', 'fused'] as const) {
      const { model, decided } = await quantized(text, { format });
      expect(decided.map(([, precision]) => precision)).toEqual(['int8']);
      const left = ['MatMul', 'Gemm', 'FusedMatMul'].filter((op) => opsOf(model).includes(op));
      expect(left).toEqual([]);
      expect(await errorBeside(text, model, feeds)).toBeLessThan(0.015);
    }
  });

  it('of two computed operands is quantised where that is asked for', async () => {
    const text = `g (float[3, 5, 40] x, float[3, 40, 30] z) => (float[3, 5, 30] y) {
      [mm] y = MatMul(x, z)
    }`;
    const feeds = new Map([
      ['x', Tensor.of('float32', [3, 5, 40], normals(600))],
      ['z', Tensor.of('float32', [3, 40, 30], normals(3600))],
    ]);
    const { decided } = await quantized(text);
    expect(decided).toEqual([['mm', 'float', 'both of its operands are computed']]);
    const asked = await quantized(text, { products: true });
    expect(asked.decided).toEqual([['mm', 'int8', undefined]]);
    expect(nodesOf(asked.model, 'MatMulInteger')).toHaveLength(1);
    expect(await errorBeside(text, asked.model, feeds)).toBeLessThan(0.02);
  });
});

describe('what is shared', () => {
  const text = `g (float[5, 40] x) => (float[5, 30] y)
    <float[40, 30] w = random, float[40, 30] v = random> {
    a = MatMul(x, w)
    b = MatMul(x, v)
    t = Add(a, b)
    c = MatMul(x, w)
    y = Add(t, c)
  }`;

  it('is quantised once: inputs and weights', async () => {
    for (const format of ['auto', 'fused'] as const) {
      const { model } = await quantized(text, { format });
      expect(nodesOf(model, 'DynamicQuantizeLinear')).toHaveLength(1);
      const codes = [...model.graph.initializers].filter(({ data }) => data?.size === K * N);
      expect(codes.map(({ dtype }) => dtype)).toEqual(['int8', 'int8']);
      expect(await errorBeside(text, model, FEEDS)).toBeLessThan(0.015);
    }
  });

  it('also across copies of the same bytes, branches and the graph around them', async () => {
    const branches = `<opset_import: ["": 17]> g (float[5, 40] x, bool c) => (float[5, 30] y)
      <float[40, 30] w = random> {
      a = MatMul(x, w)
      y = If<
        then_branch = t () => (float[5, 30] p) { [in] p = MatMul(x, w) },
        else_branch = e () => (float[5, 30] q) { q = Identity(a) }
      >(c)
    }`;
    const { model, decided } = await quantized(branches);
    expect(decided.map(([, precision]) => precision)).toEqual(['int8', 'int8']);
    expect(bytesOf(model)).toBeLessThan(K * N + 5 * N + 8);
    for (const value of [0, 1]) {
      const feeds = new Map([...FEEDS, ['c', Tensor.of('bool', [], [value])] as const]);
      expect(await errorBeside(branches, model, feeds)).toBeLessThan(0.015);
    }
  });

  it('is part of the function it stands in', async () => {
    const values = [...normals(K * N)].map((v) => v.toFixed(4)).join(', ');
    const called = `<opset_import: ["": 17, "own": 1]>
      g (float[5, 40] x) => (float[5, 30] y) { y = own.Layer(x) }
      <domain: "own", opset_import: ["": 17]> Layer (u) => (v) {
        w = Constant<value = float[40, 30] {${values}}>()
        [mm] v = MatMul(u, w)
      }`;
    for (const format of ['auto', 'fused'] as const) {
      const { model, decided } = await quantized(called, { format });
      expect(decided).toEqual([['mm', 'int8', undefined]]);
      expect([...(model.functions[0]?.graph.initializers ?? [])]).toEqual([]);
      const floats = nodesOf(model, 'Constant').filter(
        (node) => (node.tensor('value')?.byteLength ?? 0) > K * N,
      );
      expect(floats).toEqual([]);
      expect(await errorBeside(called, model, FEEDS)).toBeLessThan(0.015);
    }
  });
});

describe('what stays float', () => {
  const one = (node: string, weights = 'float[40, 30] w = random') =>
    `g (float[5, 40] x, float[40, 30] z) => (float[5, 30] y) <${weights}> { [n] ${node} }`;
  it.each([
    [one('y = MatMul(x, z)'), 'both of its operands are computed'],
    [
      `g (float[30, 5] x) => (float[40, 5] y) <float[40, 30] w = random> { [n] y = MatMul(w, x) }`,
      'its constant is the first operand, not the second',
    ],
    [
      `g (float[5, 40] x) => (float[5, 4] y) <float[40, 4] w = random> { [n] y = MatMul(x, w) }`,
      'its weight has only 160 elements',
    ],
    [
      `g (float64[5, 40] x) => (float64[5, 30] y) <float64[40, 30] w = random> { [n] y = MatMul(x, w) }`,
      'its weight is float64',
    ],
    [
      `g (float[5, 2000] x) => (float[5] y) <float[2000] w = random> { [n] y = MatMul(x, w) }`,
      'its weight is a vector',
    ],
    [
      `g (float[5, 40] x, float[40, 30] w) => (float[5, 30] y) <float[40, 30] w = random> { [n] y = MatMul(x, w) }`,
      'its weight is a graph input, which callers may replace',
    ],
  ])('%#: %s', async (text, reason) => {
    const { decided, model } = await quantized(text);
    expect(decided).toEqual([['n', 'float', reason]]);
    expect(opsOf(model)).toEqual(['MatMul']);
  });

  it('is what was quantised before', async () => {
    const text = `g (float[5, 40] x) => (float[5, 30] y)
      <int8[40, 30] q = {${Array.from({ length: 1200 }, (_, i) => (i % 7) - 3).join(', ')}}, float s = {0.1}> {
      w = DequantizeLinear(q, s)
      [n] y = MatMul(x, w)
    }`;
    expect((await quantized(text)).decided).toEqual([['n', 'float', 'it is quantised already']]);
    const { model } = await quantized(MATMUL);
    const again = await quantized(model);
    expect(again.decided).toEqual([['mm', 'float', 'it is quantised already']]);
    expect(opsOf(again.model)).toEqual(opsOf(model));
  });

  it('is what somebody wants so, and what the target cannot run', async () => {
    const float = await quantized(MATMUL, {}, { wanted: { mm: 'float' } });
    expect(float.decided).toEqual([['mm', 'float', 'it was chosen to stay float']]);
    const without = await quantized(MATMUL, {}, { has: (kernel) => !kernel.startsWith('MatMulI') });
    expect(without.decided).toEqual([['mm', 'float', 'cpu has no kernel MatMulInteger:u8s8']]);
  });

  it('but small weights are quantised where they are asked for by name', async () => {
    const text =
      'g (float[5, 40] x) => (float[5, 4] y) <float[40, 4] w = random> { [n] y = MatMul(x, w) }';
    const { decided } = await quantized(text, {}, { wanted: { n: 'int8' } });
    expect(decided).toEqual([['n', 'int8', undefined]]);
  });

  it('names the weight that is not finite', async () => {
    const text = MATMUL.replace('random', `{${'1, '.repeat(1199)}nan}`);
    await expect(quantized(text)).rejects.toThrow('weight "w" of node "mm" (MatMul)');
  });
});

it('gives the same bytes each time', async () => {
  const [first, second] = [await quantized(MATMUL), await quantized(MATMUL)];
  const bytes = (model: Model) =>
    [...model.graph.initializers].map(({ name, data }) => [name, Buffer.from(data?.bytes() ?? [])]);
  expect(bytes(first.model)).toEqual(bytes(second.model));
  expect(await runHere(first.model, FEEDS)).toEqual(await runHere(second.model, FEEDS));
});
