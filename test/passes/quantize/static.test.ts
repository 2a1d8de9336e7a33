// What static quantisation writes: scales, weights, biases against the formulas said plainly, ranges of
// all kinds; and digits, which keep their accuracy.

import { describe, expect, it } from '@jest/globals';
import { inputSpecs } from '../../../src/data/inputs.ts';
import { openDataset } from '../../../src/data/open.ts';
import { largestPerRow } from '../../../src/metrics/top1.ts';
import { readModel } from '../../../src/onnx/index.ts';
import { affineOf, roundHalfEven } from '../../../src/tensor/affine.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import { prepared } from './improve/fixture.ts';
import { GEMM, operand, quantized, run, similarity } from './static-helper.ts';
import { largestDifference, nodesOf, normals } from './weights-helper.ts';

function rangeOf(values: ArrayLike<number>) {
  const all = Array.from(values);
  return { min: Math.min(0, ...all), max: Math.max(0, ...all) };
}

describe('numbers', () => {
  it('follow the formulas: activation, weight per channel, bias', async () => {
    const { model, feeds, float } = await quantized(GEMM);
    const initial = (name: string) =>
      [...float.graph.initializers].find((v) => v.name === name)?.data?.values() as Float32Array;
    const seen = feeds.flatMap((set) => Array.from(set.get('x')?.values() as Float32Array));
    const x = affineOf(rangeOf(seen), { type: 'uint8', symmetric: false });
    const activation = await operand(model, 'Gemm', 0);
    expect(activation).toMatchObject({ scale: [x.scale], zeroPoint: [x.zeroPoint] });
    const w = initial('w');
    const rows = Array.from({ length: 8 }, (_, c) => w.subarray(c * 16, c * 16 + 16));
    const scales = rows.map(
      (row) => affineOf(rangeOf(row), { type: 'int8', symmetric: true }).scale,
    );
    const weight = await operand(model, 'Gemm', 1);
    expect(weight).toMatchObject({ type: 'int8', scale: scales, zeroPoint: scales.map(() => 0) });
    expect(weight.codes).toEqual(
      rows.flatMap((row, c) =>
        Array.from(row, (value) => roundHalfEven(Math.fround(value / (scales[c] ?? 1)))),
      ),
    );
    const bias = await operand(model, 'Gemm', 2);
    const products = scales.map((scale) => Math.fround(scale * x.scale));
    expect(bias).toMatchObject({ type: 'int32', scale: products });
    expect(bias.codes).toEqual(
      Array.from(initial('b'), (value, c) => roundHalfEven(value / (products[c] ?? 1))),
    );
  });

  it('of integers in onnxruntime are those of integers here', async () => {
    const { model, feeds } = await quantized(GEMM);
    const [x, w, b] = [0, 1, 2].map((index) => operand(model, 'Gemm', index));
    const [activation, weight, bias] = [await x, await w, await b];
    const [scale = 1] = activation?.scale ?? [];
    const [zero = 0] = activation?.zeroPoint ?? [];
    const set = feeds[1] ?? new Map();
    const input = set.get('x')?.values() as Float32Array;
    const found = (await run(model, set)).get('y')?.values() as Float32Array;
    found.forEach((value, i) => {
      const [row, c] = [Math.floor(i / 8), i % 8];
      let sum = bias?.codes[c] ?? 0;
      for (let k = 0; k < 16; k++) {
        const code = roundHalfEven((input[row * 16 + k] ?? 0) / scale) + zero;
        const clipped = Math.max(0, Math.min(255, code));
        sum += (clipped - zero) * (weight?.codes[c * 16 + k] ?? 0);
      }
      expect(value).toBeCloseTo(sum * (bias?.scale[c] ?? 1), 4);
    });
  });

  it('hold the factors of Gemm, and one bias for all channels', async () => {
    const result = await quantized(
      `g (float[3, 16] x) => (float[3, 8] y) <float[16, 8] w = random, float[1] b = {3.0}> {
        [fc] y = Gemm <alpha=-0.5, beta=2.0> (x, w, b)
      }`,
    );
    expect(result.decided).toEqual({ fc: 'int8' });
    expect([...(nodesOf(result.model, 'Gemm')[0]?.attrs.keys() ?? [])]).toEqual([]);
    expect(await similarity(result)).toBeGreaterThan(0.999);
  });

  it('of a bias that is much larger than all products do not overflow', async () => {
    const text = `g (float[2, 4] x) => (float[2, 3] y) <float[4, 3] w, float[3] b> {
      [fc] y = Gemm(x, w, b)
    }`;
    const model = parseModel(
      text
        .replace('float[4, 3] w,', 'float[4, 3] w = random,')
        .replace('float[3] b>', 'float[3] b = random>'),
    );
    for (const value of model.graph.initializers) {
      if (value.name === 'w')
        model.graph.setData(
          value,
          Tensor.of(
            'float32',
            [4, 3],
            normals(12).map((x) => x * 1e-9),
          ),
        );
      else model.graph.setData(value, Tensor.of('float32', [3], [1e4, -2e4, 0]));
    }
    const { model: made, feeds } = await quantized(model);
    const bias = await operand(made, 'Gemm', 2);
    expect(Math.max(...bias.codes.map(Math.abs))).toBeLessThanOrEqual(2 ** 31 - 1);
    const found = (await run(made, feeds[0] ?? new Map())).get('y')?.values() as Float32Array;
    expect(found[0]).toBeCloseTo(1e4, 0);
    expect(found[1]).toBeCloseTo(-2e4, 0);
  });

  it.each([
    ['uint8 weights per channel have one zero point', { weights: 'uint8' }, 'uint8', 128],
    ['int16 weights', { weights: 'int16', activations: 'int16' }, 'int16', 0],
  ] as const)('%s', async (_, options, type, zero) => {
    const result = await quantized(GEMM, options);
    const weight = await operand(result.model, 'Gemm', 1);
    expect(weight.type).toBe(type);
    expect(new Set(weight.zeroPoint)).toEqual(new Set([zero]));
    expect(await similarity(result)).toBeGreaterThan(0.999);
  });

  it('of channels that are all zero are zeros', async () => {
    const model = parseModel(GEMM);
    for (const value of model.graph.initializers) {
      if (value.name === 'w') {
        const zeroed = normals(128).map((x, i) => (i < 16 ? 0 : x));
        model.graph.setData(value, Tensor.of('float32', [8, 16], zeroed));
      }
    }
    for (const weights of ['int8', 'uint8'] as const) {
      const result = await quantized(model.clone(), { weights });
      const { zeroPoint } = await operand(result.model, 'Gemm', 1);
      expect(new Set(zeroPoint).size).toBe(1);
      expect(await similarity(result)).toBeGreaterThan(0.999);
    }
  });

  it('of activations that are constant or zero are exact', async () => {
    for (const constant of [0, 2.5, -1e-30]) {
      const feeds: Feeds[] = [
        new Map([['x', Tensor.of('float32', [3, 16], new Float32Array(48).fill(constant))]]),
      ];
      const { model, float } = await quantized(GEMM, {}, { feeds });
      const [expected] = (await run(float, feeds[0] as Feeds)).values();
      const [found] = (await run(model, feeds[0] as Feeds)).values();
      const distance = largestDifference(
        elementsOf(expected as Tensor) as Float32Array,
        elementsOf(found as Tensor) as Float32Array,
      );
      expect(distance).toBeLessThan(0.15);
    }
  });
});

describe('digits', () => {
  it.each([
    ['digits', 'qdq', 'uint8'],
    ['digits', 'qoperator', 'int8'],
    ['digits-transformer', 'qdq', 'uint8'],
    ['digits-transformer', 'qoperator', 'uint8'],
  ] as const)('%s in %s form with %s keeps its accuracy', async (name, format, activations) => {
    const float = await prepared(await readModel(`fixtures/${name}.onnx`));
    const load = async (part: string, limit: number) => {
      const data = await openDataset(`fixtures/digits-${part}.npz`, inputSpecs(float), {
        seed: 0,
        limit,
      });
      const found = [];
      for await (const batch of data.batches(64)) found.push(batch);
      return found;
    };
    const feeds = (await load('train', 128)).map((batch) => batch.feeds);
    const products = name !== 'digits';
    const { model, decided } = await quantized(float, { format, activations, products }, { feeds });
    expect(Object.values(decided).every((precision) => precision === 'int8')).toBe(true);
    let [right, total] = [0, 0];
    for (const { feeds: set, targets } of await load('test', 512)) {
      const [scores] = (await run(model, set)).values();
      const labels = elementsOf(targets.get('labels') as Tensor);
      const found = largestPerRow(scores as Tensor);
      right += found.filter((label, i) => label === Number(labels[i])).length;
      total += found.length;
    }
    expect(right / total).toBeGreaterThan(name === 'digits' ? 0.985 : 0.97);
  });
});
