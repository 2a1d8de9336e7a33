// AdaRound: a layer is never further from the float one on the calibration data than with rounding to
// nearest, comes close to the best of all roundings where these can be tried, and gains on data that
// it has not seen.

import { describe, expect, test } from '@jest/globals';
import { checkModel, type Model, type Node } from '../../../../src/graph/index.ts';
import { readModel } from '../../../../src/onnx/index.ts';
import { inferTypes } from '../../../../src/ops/index.ts';
import adaround from '../../../../src/passes/quantize/improve/adaround.ts';
import {
  ADAPTIVE,
  roundAdaptively,
} from '../../../../src/passes/quantize/improve/round-adaptively.ts';
import type { Unfolding } from '../../../../src/passes/quantize/improve/unfold.ts';
import { quantizeStatic } from '../../../../src/passes/quantize/static.ts';
import { elementsOf } from '../../../../src/tensor/elements.ts';
import type { Feeds } from '../../../../src/tensor/feeds.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { Tensor } from '../../../../src/tensor/tensor.ts';
import { parseModel } from '../../../helpers/parse.ts';
import { digitFeeds } from './digits.ts';
import {
  distance,
  INT8,
  improving,
  type PlainOptions,
  prepared,
  quantizedPlainly,
  run,
} from './fixture.ts';

/** Numbers that depend on their neighbours, as real activations do. */
function feedsOf(shape: readonly number[], count = 4): Feeds[] {
  const random = new Random(4, 'correlated');
  const size = shape.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, () => {
    let level = 0;
    const values = Float32Array.from({ length: size }, () => {
      level = 0.7 * level + random.normal();
      return Math.max(0, level + 0.5);
    });
    return new Map([['x', Tensor.of('float32', shape, values)]]);
  });
}

async function rounded(float: Model, feeds: readonly Feeds[], plain: PlainOptions) {
  inferTypes(float);
  const before = await quantizedPlainly(float, feeds, plain);
  const after = before.clone();
  const { context, notes } = improving(feeds);
  const changed = await adaround.run(after, float, INT8, context);
  expect(checkModel(after)).toEqual([]);
  return { before, after, changed, notes };
}

/** The integers of a layer's weight. */
function codesOf(model: Model, name: string): number[] {
  const node = [...model.graph.nodes].find((one) => one.name === name) as Node;
  const data = node.input(1)?.producer?.input(0)?.data as Tensor;
  return Array.from(elementsOf(data) as Int8Array);
}

const image = [2, 6, 9, 9];
const CASES: [string, readonly number[], string, string][] = [
  ['Conv', image, 'float[5, 6, 3, 3] w = random', 'Conv<pads=[1, 1, 1, 1]>(x, w)'],
  [
    'Conv with strides and dilations',
    image,
    'float[5, 6, 3, 2] w = random',
    'Conv<strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 1]>(x, w)',
  ],
  [
    'Conv that pads by itself',
    image,
    'float[5, 6, 3, 3] w = random',
    'Conv<strides=[2, 2], auto_pad="SAME_UPPER">(x, w)',
  ],
  ['Conv of single points', [2, 16, 9, 9], 'float[5, 16, 1, 1] w = random', 'Conv(x, w)'],
  [
    'Conv in groups',
    image,
    'float[4, 3, 3, 3] w = random, float[4] b = random',
    'Conv<group=2>(x, w, b)',
  ],
  ['depthwise Conv', image, 'float[12, 1, 3, 3] w = random', 'Conv<group=6>(x, w)'],
  ['Conv of one axis', [2, 6, 30], 'float[5, 6, 3] w = random', 'Conv<pads=[1, 1]>(x, w)'],
  ['Gemm', [20, 24], 'float[24, 7] w = random, float[7] b = random', 'Gemm(x, w, b)'],
  ['Gemm, transposed', [20, 24], 'float[7, 24] w = random', 'Gemm<transB=1, alpha=2.0>(x, w)'],
  ['MatMul', [2, 9, 24], 'float[24, 7] w = random', 'MatMul(x, w)'],
];

const WAYS: [string, PlainOptions][] = [
  ['4 bits', { bits: 4 }],
  ['8 bits', {}],
  ['4 bits, one scale, activations float', { bits: 4, perChannel: false, weightsOnly: true }],
];

describe.each(WAYS)('one layer in %s is nearer to the float one', (_, plain) => {
  test.each(CASES)('%s', async (_, shape, weights, call) => {
    const float = parseModel(`g (float[${shape}] x) => (float y) <${weights}> { [l] y = ${call} }`);
    const feeds = feedsOf(shape);
    const { before, after, changed, notes } = await rounded(float, feeds, plain);
    expect(changed).toBe(true);
    const [plainly, adaptive] = [
      await distance(float, before, feeds),
      await distance(float, after, feeds),
    ];
    expect(adaptive.relNorm).toBeLessThan(plainly.relNorm * (plain.bits === 4 ? 0.99 : 1));
    expect(notes[0]).toMatch(/^l: the squared error of rounding to nearest falls by/);
    const [a, b] = [codesOf(before, 'l'), codesOf(after, 'l')];
    const steps = a.map((code, i) => Math.abs(code - (b[i] as number)));
    expect(Math.max(...steps)).toBe(1);
  });
});

test('comes close to the best of all roundings', async () => {
  const random = new Random(1, 'exhaustive');
  const [outputs, inputs] = [12, 10];
  const size = outputs * inputs;
  const rest = Float32Array.from({ length: size }, () => random.uniform());
  const unfolding: Unfolding = {
    groups: 1,
    outputs,
    inputs,
    isTurned: false,
    rows: (_, value) => value,
  };
  const ones = new Float32Array(size).fill(1);
  // Inputs with much in common: x = shared + own.
  const gram = Float32Array.from({ length: inputs * inputs }, (_, i) =>
    i % inputs === Math.floor(i / inputs) ? 1.3 : 1,
  );
  const problem = { unfolding, weight: ones, scales: ones, below: ones, rest };
  const sums = { gram, drift: new Float32Array(inputs * inputs), rows: 1000 };
  const { gain, nearest, up } = await roundAdaptively(problem, sums, ADAPTIVE, run);
  const errorOf = (row: number, ups: (k: number) => number) => {
    const e = Array.from({ length: inputs }, (_, k) => ups(k) - (rest[row * inputs + k] as number));
    return e.reduce(
      (sum, a, i) => sum + e.reduce((s, b, j) => s + a * b * (gram[i * inputs + j] as number), 0),
      0,
    );
  };
  let [best, plain, found] = [0, 0, 0];
  for (let row = 0; row < outputs; row++) {
    const all = Array.from({ length: 2 ** inputs }, (_, code) =>
      errorOf(row, (k) => (code >> k) & 1),
    );
    best += Math.min(...all);
    plain += errorOf(row, (k) => Math.round(rest[row * inputs + k] as number));
    found += errorOf(row, (k) => up[row * inputs + k] as number);
  }
  expect(nearest).toBeCloseTo(plain, 3);
  expect(plain - found).toBeCloseTo(gain, 3);
  expect(gain).toBeGreaterThan(0.9 * (plain - best));
});

describe('trained models in 4 bits', () => {
  test.each([
    ['digits', 0.5],
    ['digits-transformer', 0.6],
  ])('%s is nearer to the float model on other data', async (name, most) => {
    const float = await prepared(await readModel(`fixtures/${name}.onnx`));
    const feeds = await digitFeeds(float, 'train', 128);
    const { before, after } = await rounded(float, feeds, { bits: 4 });
    const fresh = await digitFeeds(float, 'test', 128);
    const plain = await distance(float, before, fresh);
    expect((await distance(float, after, fresh)).relNorm).toBeLessThan(plain.relNorm * most);
  });
});

test('weights with zero points, as static quantisation makes them', async () => {
  const float = await prepared(await readModel('fixtures/digits.onnx'));
  const feeds = await digitFeeds(float, 'train', 128);
  const { context } = improving(feeds);
  const before = float.clone();
  const options = {
    activations: 'uint16',
    weights: 'uint8',
    perChannel: false,
    symmetricActivations: false,
    reduceRange: true,
    format: 'qdq',
  } as const;
  await quantizeStatic(before, options, context);
  const after = before.clone();
  expect(await adaround.run(after, float, INT8, context)).toBe(true);
  const plain = await distance(float, before, feeds);
  expect((await distance(float, after, feeds)).relNorm).toBeLessThan(plain.relNorm * 0.8);
});

describe('rounded to nearest, with the reason', () => {
  test.each([
    [
      'a weight of two layers',
      'float[8, 8] w = random',
      '[l] a = MatMul(x, w) y = MatMul(a, w)',
      'is shared',
    ],
    ['a stack of matrices', 'float[1, 8, 8] w = random', '[l] y = MatMul(x, w)', '3 dimensions'],
  ])('%s', async (_, weights, nodes, reason) => {
    const float = parseModel(`g (float[4, 8] x) => (float y) <${weights}> { ${nodes} }`);
    inferTypes(float);
    const feeds = feedsOf([4, 8]);
    const before = float.clone();
    const { context, notes } = improving(feeds);
    const options = {
      activations: 'uint8',
      weights: 'int8',
      perChannel: true,
      symmetricActivations: false,
      reduceRange: false,
      format: 'qdq',
    } as const;
    await quantizeStatic(before, options, context);
    const changed = await adaround.run(before, float, INT8, context);
    expect(changed).toBe(false);
    expect(notes.find((note) => note.startsWith('l: '))).toContain(reason);
  });
});
