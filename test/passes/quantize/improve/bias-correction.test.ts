// Bias correction: the mean of each channel is what it was in the float model, in whichever form the
// bias is stored, and outputs come closer; where they do not, nothing is changed.

import { describe, expect, test } from '@jest/globals';
import { checkModel, type Model, type Node } from '../../../../src/graph/index.ts';
import { readModel } from '../../../../src/onnx/index.ts';
import { inferTypes } from '../../../../src/ops/index.ts';
import biasCorrection from '../../../../src/passes/quantize/improve/bias-correction.ts';
import { outputError } from '../../../../src/passes/quantize/improve/output-error.ts';
import { elementsOf } from '../../../../src/tensor/elements.ts';
import type { Feeds } from '../../../../src/tensor/feeds.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { Tensor } from '../../../../src/tensor/tensor.ts';
import { parseModel } from '../../../helpers/parse.ts';
import { digitFeeds } from './digits.ts';
import {
  calibrationOn,
  distance,
  INT8,
  improving,
  type PlainOptions,
  prepared,
  quantizedPlainly,
  run,
} from './fixture.ts';

/** Positive numbers, as behind a Relu: then errors of weights do not cancel. */
function feedsOf(shape: readonly number[], count = 4): Feeds[] {
  const random = new Random(2, 'positive');
  const size = shape.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, () => {
    const values = Float32Array.from({ length: size }, () => Math.abs(random.normal()) + 0.5);
    return new Map([['x', Tensor.of('float32', shape, values)]]);
  });
}

async function corrected(float: Model, feeds: readonly Feeds[], plain: PlainOptions) {
  inferTypes(float);
  const before = await quantizedPlainly(float, feeds, plain);
  const after = before.clone();
  const { context, notes } = improving(feeds);
  const changed = await biasCorrection.run(after, float, INT8, context);
  expect(checkModel(after)).toEqual([]);
  return { before, after, changed, notes };
}

/** The largest mean difference of a channel of the first output, over all feeds. */
async function shiftOf(float: Model, quantized: Model, feeds: readonly Feeds[], channels: number) {
  const sums = new Float64Array(channels);
  let inner = 1;
  let size = 0;
  for (const set of feeds) {
    const [expected, actual] = await Promise.all([float, quantized].map((m) => run(m, set)));
    const [y, q] = [expected?.get('y') as Tensor, actual?.get('y') as Tensor];
    const [a, b] = [elementsOf(y) as Float32Array, elementsOf(q) as Float32Array];
    inner = y.shape.length === 4 ? (y.shape[2] as number) * (y.shape[3] as number) : 1;
    size += a.length / channels;
    a.forEach((v, i) => {
      const c = Math.floor(i / inner) % channels;
      sums[c] = (sums[c] as number) + v - (b[i] as number);
    });
  }
  return Math.max(...sums.map((s) => Math.abs(s / size)));
}

const image = [2, 3, 6, 6];
const CASES: [string, readonly number[], string, string][] = [
  [
    'Conv with a bias',
    image,
    'float[4, 3, 3, 3] w = random, float[4] b = random',
    '[l] y = Conv(x, w, b)',
  ],
  ['Conv without a bias', image, 'float[4, 3, 3, 3] w = random', '[l] y = Conv(x, w)'],
  ['depthwise Conv', image, 'float[3, 1, 3, 3] w = random', '[l] y = Conv<group=3>(x, w)'],
  ['Gemm', [8, 12], 'float[12, 4] w = random, float[4] b = random', '[l] y = Gemm(x, w, b)'],
  [
    'MatMul and Add',
    [2, 5, 12],
    'float[12, 4] w = random, float[4] b = random',
    '[l] m = MatMul(x, w) [a] y = Add(m, b)',
  ],
  [
    'MatMul and Add of one number',
    [2, 5, 12],
    'float[12, 4] w = random, float[1] b = random',
    '[l] m = MatMul(x, w) [a] y = Add(b, m)',
  ],
];

describe('channels have the mean they had', () => {
  test.each(CASES)('%s', async (_, shape, weights, nodes) => {
    for (const plain of [
      { bits: 4 },
      { bits: 4, weightsOnly: true },
      { bits: 4, perChannel: false },
    ] as const) {
      const float = parseModel(`g (float[${shape}] x) => (float y) <${weights}> { ${nodes} }`);
      const feeds = feedsOf(shape);
      const { before, after, changed } = await corrected(float, feeds, plain);
      expect(changed).toBe(true);
      const channels = nodes.includes('group=3') ? 3 : 4;
      const shift = await shiftOf(float, before, feeds, channels);
      expect(await shiftOf(float, after, feeds, channels)).toBeLessThan(shift / 20);
    }
  });

  test('a new bias of an integer kernel is an integer one', async () => {
    const [, shape, weights, nodes] = CASES[1] as (typeof CASES)[number];
    const float = parseModel(`g (float[${shape}] x) => (float y) <${weights}> { ${nodes} }`);
    const { after } = await corrected(float, feedsOf(shape), {});
    const layer = [...after.graph.nodes].find(({ name }) => name === 'l') as Node;
    expect(layer.input(2)?.producer?.op).toBe('DequantizeLinear');
    expect(layer.input(2)?.producer?.input(0)?.dtype).toBe('int32');
  });
});

describe('left as it was, with the reason', () => {
  const float = () =>
    parseModel(
      `g (float[2, 5, 12] x) => (float y) <float[12, 4] w = random> { [l] y = MatMul(x, w) }`,
    );

  test('a product without a bias', async () => {
    const { changed, notes } = await corrected(float(), feedsOf([2, 5, 12]), { bits: 4 });
    expect(changed).toBe(false);
    expect(notes).toEqual(['l: its bias is not corrected: no Add of a constant follows']);
  });

  test('what would not come closer', async () => {
    const [, shape, weights, nodes] = CASES[0] as (typeof CASES)[number];
    const model = parseModel(`g (float[${shape}] x) => (float y) <${weights}> { ${nodes} }`);
    const feeds = feedsOf(shape);
    const { after } = await corrected(model, feeds, {});
    // A second time there is nothing left to gain.
    const { context, notes } = improving(feeds);
    const again = after.clone();
    const changed = await biasCorrection.run(again, model, INT8, context);
    expect(changed || notes.some((note) => note.includes('is not corrected'))).toBe(true);
    const [first, second] = [
      await distance(model, after, feeds),
      await distance(model, again, feeds),
    ];
    expect(second.relNorm).toBeLessThanOrEqual(first.relNorm);
  });
});

test('digits in 4 bits: all layers in one pass, and the outputs come closer', async () => {
  const float = await prepared(await readModel('fixtures/digits.onnx'));
  const feeds = await digitFeeds(float, 'train', 256);
  const { before, after, changed } = await corrected(float, feeds, { bits: 4, perChannel: false });
  expect(changed).toBe(true);
  const fresh = await digitFeeds(float, 'test', 128);
  const [plain, better] = [before, after].map((model) => distance(float, model, fresh));
  expect((await better)?.relNorm).toBeLessThan(((await plain)?.relNorm ?? 0) * 0.9);
});

test('the error of the outputs is that of a comparison', async () => {
  const float = await prepared(await readModel('fixtures/digits.onnx'));
  const feeds = await digitFeeds(float, 'test', 64);
  const quantized = await quantizedPlainly(float, feeds, { bits: 4 });
  const error = await outputError(quantized, float, calibrationOn(feeds), 100);
  expect(error).toBeCloseTo((await distance(float, quantized, feeds)).relNorm, 4);
});
