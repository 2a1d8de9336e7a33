// What becomes of nodes and models in static quantisation: what is asked for, what cannot be, and why.

import { describe, expect, it } from '@jest/globals';
import { checkModel, type Model } from '../../../src/graph/index.ts';
import type { Calibration } from '../../../src/passes/quantize/context.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import { calibrationOn } from './improve/fixture.ts';
import { GEMM, numbers, operand, quantized, run, similarity } from './static-helper.ts';
import { nodesOf, normals, opsOf } from './weights-helper.ts';

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
