// What static quantisation decides and writes: scales, weights, biases against the formulas said plainly,
// edge cases, what stays float and why.

import { describe, expect, it } from '@jest/globals';
import { inputSpecs } from '../../../src/data/inputs.ts';
import { openDataset } from '../../../src/data/open.ts';
import { checkModel, type Model, type Value } from '../../../src/graph/index.ts';
import { largestPerRow } from '../../../src/metrics/top1.ts';
import { readModel } from '../../../src/onnx/index.ts';
import type { Calibration } from '../../../src/passes/quantize/context.ts';
import { affineOf, roundHalfEven } from '../../../src/tensor/affine.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import { calibrationOn, prepared } from './improve/fixture.ts';
import { quantized, run, similarity } from './static-helper.ts';
import { largestDifference, nodesOf, normals, opsOf } from './weights-helper.ts';

const GEMM = `g (float[3, 16] x) => (float[3, 8] y) <
  float[8, 16] w = random,
  float[8] b = random
> {
  [fc] y = Gemm <transB=1> (x, w, b)
}`;

async function numbers(value: Value | undefined): Promise<number[]> {
  const data = value?.data as Tensor;
  const loaded = Tensor.fromBytes(data.dtype, data.shape, await data.load());
  return Array.from(elementsOf(loaded) as Float32Array, Number);
}

/** Codes, scale and zero point behind input `index` of the only node of this operator. */
async function operand(model: Model, op: string, index: number) {
  const dq = nodesOf(model, op)[0]?.inputs[index]?.producer;
  expect(dq?.op).toBe('DequantizeLinear');
  const [codes, scale, zeroPoint] = dq?.inputs ?? [];
  const isConstant = codes?.data !== undefined;
  return {
    type: codes?.dtype,
    codes: isConstant ? await numbers(codes) : [],
    scale: await numbers(scale),
    zeroPoint: await numbers(zeroPoint),
  };
}

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

describe('what becomes of nodes', () => {
  const one = (node: string, more = '') =>
    `g (float[2, 4, 8, 8] x, float[2, 4, 3, 3] z) => (float y) <
      float[4, 4, 3, 3] w = random, float[4, 2, 3, 3] t = random${more}
    > { ${node} }`;

  it.each([
    ['[n] y = Conv(x, z)', 'float: its weight is computed'],
    ['[n] y = Conv(w, z)', 'float: its first operand is constant'],
    [
      '[n] y = ConvTranspose <group=2> (x, t)',
      'int8: only its weight: cpu has no integer kernel for ConvTranspose',
    ],
    ['[n] y = Conv(x, w)', 'int8'],
    ['[n] y = Conv <group=2> (x, t)', 'int8'],
  ])('%s: %s', async (node, expected) => {
    const { model, decided } = await quantized(one(node));
    expect(decided['n']).toBe(expected);
    expect(checkModel(model)).toEqual([]);
  });

  it('is what was wanted', async () => {
    expect((await quantized(GEMM, {}, { wanted: { fc: 'float' } })).decided).toEqual({
      fc: 'float: it was chosen to stay float',
    });
    expect((await quantized(GEMM, {}, { wanted: { fc: 'fp16' } })).decided).toEqual({
      fc: 'float: it was to become fp16',
    });
  });

  it('is float16 where it was', async () => {
    const text = GEMM.replaceAll('float[', 'float16[').replaceAll('= random', '= random');
    const { decided } = await quantized(text, {}, { feeds: [] });
    expect(decided['fc']).toBe('float: it is of type float16, and float32 is needed');
  });

  it('is said where the target lacks a kernel', async () => {
    const has = (kernel: string) => kernel !== 'QGemm:u8s8';
    const { model, decided } = await quantized(GEMM, {}, { has });
    expect(decided['fc']).toBe('int8: only its weight: cpu has no kernel QGemm:u8s8');
    expect(opsOf(model)).toEqual(['DequantizeLinear', 'Gemm']);
  });

  it('is said of what a sample never reaches, and of what stands in a branch', async () => {
    const { model, decided, feeds } = await quantized(`g (float[2, 4] x) => (float[2, 4] y) <
      float[4, 4] w = random
    > {
      c = Constant <value_int=1> ()
      k = Cast <to=9> (c)
      a = If <
        then_branch = t () => (float[2, 4] p) { p = Sin(x) },
        else_branch = e () => (float[2, 4] q) { [inner] q = MatMul(x, w) }
      > (k)
      [outer] y = MatMul(a, w)
    }`);
    expect(decided['inner']).toMatch(/^float: it stands in a subgraph/);
    expect(decided['outer']).toBe('int8');
    expect((await run(model, feeds[0] ?? new Map())).get('y')?.shape).toEqual([2, 4]);
  });

  it('is nothing where no range is known', async () => {
    const calibration: Calibration = {
      ranges: async () => new Map(),
      observe: async () => undefined,
    };
    const { model, decided } = await quantized(GEMM, {}, { calibration });
    expect(decided['fc']).toBe('float: no sample of the calibration data reaches "x"');
    expect(opsOf(model)).toEqual(['Gemm']);
  });
});

describe('a model', () => {
  const TWO = `g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y, float[1, 4, 8, 8] r) <
    float[4, 4, 3, 3] w = random
  > {
    [one] a = Conv <pads=[1, 1, 1, 1]> (x, w)
    r = Relu(a)
    [two] y = Conv <pads=[1, 1, 1, 1]> (r, w)
  }`;

  it('keeps its outputs, and stores a shared weight once', async () => {
    const result = await quantized(TWO);
    const { model } = result;
    expect(model.graph.outputs.map(({ name, dtype }) => [name, dtype])).toEqual([
      ['y', 'float32'],
      ['r', 'float32'],
    ]);
    expect([...model.graph.initializers].filter(({ dtype }) => dtype === 'int8')).toHaveLength(2);
    expect(checkModel(model)).toEqual([]);
    expect(await similarity(result)).toBeGreaterThan(0.998);
  });

  it('is calibrated on the same values whatever is wanted of its layers', async () => {
    const asked: string[][] = [];
    const model = parseModel(TWO);
    const feeds = [new Map([['x', Tensor.of('float32', [1, 4, 8, 8], normals(256))]])];
    const real = calibrationOn(feeds);
    const calibration: Calibration = {
      ...real,
      ranges: (of, names) => {
        asked.push([...names].sort());
        return real.ranges(of, names);
      },
    };
    const choices: Record<string, 'float'>[] = [{}, { one: 'float' }, { two: 'float' }];
    for (const wanted of choices) {
      await quantized(model.clone(), {}, { calibration, feeds, wanted });
    }
    expect(asked).toHaveLength(3);
    expect(new Set(asked.map(String)).size).toBe(1);
  });

  it('that is quantised in part already is quantised where it is float', async () => {
    const first = await quantized(TWO, {}, { wanted: { two: 'float' } });
    expect(first.decided['one']).toBe('int8');
    const second = await quantized(first.model.clone(), {}, { feeds: first.feeds });
    expect(second.decided).toEqual({ one: 'float: its weight is quantised already', two: 'int8' });
    // The pair behind the first convolution serves the second one.
    const pairs = (model: Model) => nodesOf(model, 'QuantizeLinear').length;
    expect(pairs(second.model)).toBe(pairs(first.model) + 1);
    const whole = { ...second, float: first.float };
    expect(await similarity(whole)).toBeGreaterThan(0.998);
  });

  it.each(['uint16', 'int16'] as const)(
    'with %s activations is nearly exact',
    async (activations) => {
      const old = await quantized(TWO.replace('g (', '<opset_import: ["" : 13]> g ('), {
        activations,
      });
      expect(nodesOf(old.model, 'QuantizeLinear')[0]?.inputs[2]?.dtype).toBe(activations);
      expect(old.decided['one']).toBe('int16');
      expect(await similarity(old)).toBeGreaterThan(0.9999);
    },
  );

  it('with float8 weights stores them so', async () => {
    for (const float8 of ['float8e4m3fn', 'float8e5m2'] as const) {
      const result = await quantized(GEMM, { float8 });
      expect(result.decided['fc']).toMatch(/^fp8: only its weight/);
      expect((await operand(result.model, 'Gemm', 1)).type).toBe(float8);
      expect(await similarity(result)).toBeGreaterThan(0.998);
    }
  });

  it('with NaN in a weight names weight and node', async () => {
    const model = parseModel(GEMM);
    for (const value of model.graph.initializers) {
      if (value.name === 'w')
        model.graph.setData(
          value,
          Tensor.of('float32', [8, 16], new Float32Array(128).fill(Number.NaN)),
        );
    }
    await expect(quantized(model)).rejects.toThrow(/"w"/);
  });

  it('quantised twice is the same, byte by byte', async () => {
    const bytes = async () => {
      const { model } = await quantized(TWO);
      const parts = [...model.graph.initializers].map(async (v) => [v.name, await numbers(v)]);
      return JSON.stringify([opsOf(model), await Promise.all(parts)]);
    };
    expect(await bytes()).toBe(await bytes());
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
