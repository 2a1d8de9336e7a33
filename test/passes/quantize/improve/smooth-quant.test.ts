// SmoothQuant: the same function in float whatever takes the factors, a smaller error of quantised
// products where channels differ, and no change where that gains nothing.

import { describe, expect, test } from '@jest/globals';
import type { Model, Node } from '../../../../src/graph/index.ts';
import { readModel } from '../../../../src/onnx/index.ts';
import { inferTypes } from '../../../../src/ops/index.ts';
import { ChannelSample } from '../../../../src/passes/quantize/improve/channel-sample.ts';
import type { ImproveOptions } from '../../../../src/passes/quantize/improve/index.ts';
import smoothQuant from '../../../../src/passes/quantize/improve/smooth-quant.ts';
import type { Feeds } from '../../../../src/tensor/feeds.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { floatsOf } from '../../../../src/tensor/scale.ts';
import { Tensor } from '../../../../src/tensor/tensor.ts';
import { parseModel } from '../../../helpers/parse.ts';
import { digitFeeds } from './digits.ts';
import { distance, INT8, improving, prepared, quantizedPlainly } from './fixture.ts';

const WIDTH = 16;

/** Rows of which two channels are 40 times as large as the others. */
function unevenFeeds(count = 3): Feeds[] {
  const random = new Random(5, 'uneven');
  return Array.from({ length: count }, () => {
    const values = Float32Array.from(
      { length: 6 * WIDTH },
      (_, i) => random.normal() * (i % WIDTH === 3 || i % WIDTH === 9 ? 40 : 1),
    );
    return new Map([['x', Tensor.of('float32', [2, 3, WIDTH], values)]]);
  });
}

async function smoothed(
  model: Model,
  feeds: readonly Feeds[],
  options: Partial<ImproveOptions> = {},
) {
  const after = model.clone();
  inferTypes(after);
  const { context, notes } = improving(feeds);
  const changed = await smoothQuant.run(after, { ...INT8, ...options }, context);
  inferTypes(after);
  return { after, changed, notes };
}

const uneven = Array.from({ length: WIDTH }, (_, k) => (k === 3 || k === 9 ? 40 : 1)).join(', ');
const model = (weights: string, nodes: string, domains = '') =>
  parseModel(`<opset_import: ["": 17${domains}]> g (float[2, 3, 16] x) => (float y)
    <float[16] scale = {${uneven}}, float[16] bias = random, ${weights}> { ${nodes} }`);

const w = 'float[16, 16] w = random';
const CASES: [string, Model][] = [
  [
    'LayerNormalization',
    model(w, '[n] a = LayerNormalization(x, scale, bias) [last] y = MatMul(a, w)'),
  ],
  [
    'LayerNormalization, for three products',
    model(
      'float[16, 8] q = random, float[16, 8] k = random, float[16, 4] v = random',
      'a = LayerNormalization(x, scale, bias) [last] b = MatMul(a, q) c = MatMul(a, k) d = MatMul(a, v) y = Concat<axis=-1>(b, c, d)',
    ),
  ],
  [
    'SkipLayerNormalization',
    model(
      w,
      'a, , , s = com.microsoft.SkipLayerNormalization(x, x, scale, bias) [last] b = MatMul(a, w) y = Add(b, s)',
      ', "com.microsoft": 1',
    ),
  ],
  ['Mul and Add', model(w, 'm = Mul(x, scale) a = Add(bias, m) [last] y = MatMul(a, w)')],
  [
    'the linear operator before, through Add and Relu',
    model(
      `${w}, float[16, 16] u = random`,
      's = Softmax(x) m = MatMul(s, u) t = Mul(m, scale) a = Add(t, bias) r = Relu(a) [last] y = MatMul(r, w)',
    ),
  ],
  [
    'one side of a gate',
    model(
      `${w}, float[16, 16] u = random, float[16, 16] g = random`,
      's = Softmax(x) m = MatMul(s, u) t = Mul(m, scale) h = MatMul(s, g) e = Sigmoid(h) a = Mul(e, t) [last] y = MatMul(a, w)',
    ),
  ],
  [
    'Gemm',
    model(
      'float[8, 16] w = random, float[8] c = random, int64[2] shape = {-1, 16}',
      'r = Reshape(x, shape) a = LayerNormalization(r, scale, bias) [last] y = Gemm<transB=1, alpha=0.5>(a, w, c)',
    ),
  ],
];

describe('factors go into what is before', () => {
  test.each(CASES)('%s', async (_, before) => {
    const feeds = unevenFeeds();
    const { after, changed, notes } = await smoothed(before, feeds);
    expect(notes.find((note) => note.startsWith('last: alpha 0.'))).toBeDefined();
    expect(changed).toBe(true);
    expect([...after.graph.nodes].length).toBe([...before.graph.nodes].length);
    expect((await distance(before, after, feeds)).relNorm).toBeLessThan(1e-5);
    const plain = await distance(before, await quantizedPlainly(before, feeds), feeds);
    const smooth = await distance(before, await quantizedPlainly(after, feeds), feeds);
    expect(smooth.relNorm).toBeLessThan(plain.relNorm * 0.8);
  });
});

test('every product that reads a value gets the same factors', async () => {
  const before = CASES[1]?.[1] as Model;
  const { after } = await smoothed(before, unevenFeeds());
  const ratios = ['q', 'k', 'v'].map((name) => {
    const [a, b] = [before, after].map((m) => rowOf(m, name));
    return a?.map((x, i) => (b?.[i] as number) / x).slice(0, 4);
  });
  const [q, k, v] = ratios as [Float64Array, Float64Array, Float64Array];
  for (const [i, factor] of q.entries()) {
    expect(k[i]).toBeCloseTo(factor, 4);
    expect(v[i]).toBeCloseTo(factor, 4);
  }
  expect(Math.abs(Math.log(q[0] as number))).toBeGreaterThan(0.05);
});

/** The first row of a weight, by name. */
function rowOf(of: Model, name: string): Float64Array {
  const value = [...of.graph.initializers].find((one) => one.name === name);
  return floatsOf(value?.data as Tensor);
}

describe('what cannot be smoothed is left, with the reason', () => {
  test.each([
    [
      'a value that others read',
      w,
      'a = LayerNormalization(x, scale, bias) [last] b = MatMul(a, w) y = Add(a, b)',
      'is read by',
    ],
    ['an input of the graph', w, '[last] y = MatMul(x, w)', 'is an input'],
    [
      'an operator that is not linear',
      w,
      'a = Gelu(x) [last] y = MatMul(a, w)',
      'takes no factors',
    ],
    [
      'products of activations',
      w,
      'a = LayerNormalization(x, scale, bias) v = Neg(w) [last] y = MatMul(a, v)',
      'not constant',
    ],
  ])('%s', async (_, weights, nodes, reason) => {
    const before = model(weights, nodes);
    if (nodes.includes('Gelu')) before.opsets.set('', 20);
    const { after, changed, notes } = await smoothed(before, unevenFeeds());
    expect(changed).toBe(false);
    expect(notes.find((note) => note.startsWith('last: '))).toContain(reason);
    expect((await distance(before, after, unevenFeeds())).maxAbs).toBe(0);
  });

  test('a linear operator before that has one scale for all channels', async () => {
    const before = model(
      `${w}, float[16, 16] u = random`,
      'm = MatMul(x, u) [last] y = MatMul(m, w)',
    );
    const { changed, notes } = await smoothed(before, unevenFeeds(), { perChannel: false });
    expect(changed).toBe(false);
    expect(notes.at(-1)).toContain('one scale for all');
  });

  test('even channels', async () => {
    const random = new Random(1, 'signs');
    const signs = Array.from({ length: WIDTH }, () => (random.integer(2) ? 1 : -1)).join(', ');
    const rows = Array.from({ length: WIDTH }, () => signs).join(', ');
    const before =
      parseModel(`g (float[2, 3, 16] x) => (float y) <float[16] one = {${Array(WIDTH).fill(1)}},
      float[16, 16] w = {${rows}}> { a = Mul(x, one) [last] y = MatMul(a, w) }`);
    const values = Float32Array.from({ length: 96 }, (_, i) => (i % 2 ? 1 : -1));
    const { changed, notes } = await smoothed(before, [
      new Map([['x', Tensor.of('float32', [2, 3, WIDTH], values)]]),
    ]);
    expect(changed).toBe(false);
    expect(notes[0]).toContain('no alpha');
  });
});

test('a Mul of its own, where that is wanted, spares other readers', async () => {
  const before = model(w, 'm = Mul(x, scale) a = Gelu(m) [last] b = MatMul(a, w) y = Add(a, b)');
  before.opsets.set('', 20);
  const feeds = unevenFeeds();
  const { after, changed } = await smoothed(before, feeds, { insertMul: true });
  expect(changed).toBe(true);
  const last = [...after.graph.nodes].find(({ name }) => name === 'last') as Node;
  expect(last.input(0)?.producer?.op).toBe('Mul');
  expect((await distance(before, after, feeds)).relNorm).toBeLessThan(1e-5);
});

test('rows are drawn evenly, ranges are those of all', () => {
  const sample = new ChannelSample(1, 100, 0, 'x');
  for (let i = 0; i < 20; i++) {
    const values = Float32Array.from({ length: 50 }, (_, j) => i * 50 + j);
    sample.add(Tensor.of('float32', [50, 1], values));
  }
  expect([sample.min[0], sample.max[0], sample.count]).toEqual([0, 999, 100]);
  const mean = sample.rows.reduce((a, b) => a + b, 0) / 100;
  expect(Math.abs(mean - 499.5)).toBeLessThan(100);
});

test('a trained transformer computes the same, and no product gets worse', async () => {
  const before = await prepared(await readModel('fixtures/digits-transformer.onnx'));
  const feeds = await digitFeeds(before, 'train', 64);
  const { after, changed, notes } = await smoothed(before, feeds);
  expect(changed).toBe(true);
  expect(notes.some((note) => note.includes('alpha'))).toBe(true);
  expect((await distance(before, after, feeds)).maxAbs).toBeLessThan(1e-4);
});
