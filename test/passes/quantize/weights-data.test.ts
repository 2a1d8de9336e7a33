// The algorithms that look at data: less error of the outputs than rounding to nearest, the same
// function where rounding costs nothing, and what happens to layers whose inputs nobody can see.

import { describe, expect, it } from '@jest/globals';
import type { Model } from '../../../src/graph/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import type { Calibration } from '../../../src/passes/quantize/context.ts';
import { quantizeWeights, type WeightsOptions } from '../../../src/passes/quantize/weights.ts';
import { observe } from '../../../src/runtime/observe.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import { type ContextParts, contextOf, normals, opsOf } from './weights-helper.ts';

const run = createRunner();
const BASE = { bits: 4, block: 32, symmetric: false, format: 'auto', algorithm: 'rtn' } as const;

/** Batches of [6, 64] in which a few inputs are large, and inputs go together. */
function batches(count: number, seed: number): Feeds[] {
  const random = new Random(seed, 'batches');
  return Array.from({ length: count }, () => {
    const values = Float32Array.from(
      { length: 6 * 64 },
      (_, i) => random.normal() * (i % 64 < 3 ? 20 : 1) + (i % 5),
    );
    return new Map([['x', Tensor.of('float32', [6, 64], values)]]);
  });
}

const calibration: Calibration = {
  ranges: async () => new Map(),
  observe: (model, names, visit) => observe(model, batches(20, 1), names, visit),
};

async function quantized(
  text: string,
  options: Partial<WeightsOptions>,
  parts: ContextParts = { calibration },
) {
  const model = parseModel(text);
  inferTypes(model);
  const { context, decided } = contextOf(run, parts);
  await quantizeWeights(model, { ...BASE, ...options }, context);
  return { model, decided };
}

async function outputs(model: Model): Promise<number[]> {
  const found: number[] = [];
  for (const feeds of batches(5, 2))
    found.push(...((await run(model, feeds)).get('y')?.numbers() ?? []));
  return found;
}

/** Of the outputs, relative, on other data. */
async function errorOf(text: string, model: Model): Promise<number> {
  const [plain, actual] = [await outputs(parseModel(text)), await outputs(model)];
  const norm = (values: number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
  return norm(plain.map((x, i) => x - (actual[i] ?? Number.NaN))) / norm(plain);
}

const LAYERS = `g (float[6, 64] x) => (float[6, 24] y)
  <float[64, 48] a = random, float[64, 48] b = random, float[24, 48] c = random, float[24] d = random> {
    [one] p = MatMul(x, a)
    [two] q = MatMul(x, b)
    m = Add(p, q)
    t = Relu(m)
    [three] y = Gemm<transB = 1>(t, c, d)
  }`;

const NORMALISED = `g (float[6, 64] x) => (float[6, 48] y)
  <float[64] s = random, float[64] z = random, float[64, 48] a = random, float[64, 48] b = random> {
    n = LayerNormalization<axis = -1>(x, s, z)
    [one] p = MatMul(n, a)
    [two] q = MatMul(n, b)
    y = Add(p, q)
  }`;

describe('algorithms that look at data', () => {
  it.each(['gptq', 'awq'] as const)('%s errs less than the nearest', async (algorithm) => {
    for (const [text, bits] of [
      [LAYERS, 4],
      [LAYERS, 2],
      [NORMALISED, 4],
    ] as const) {
      const nearest = await quantized(text, { bits });
      const found = await quantized(text, { bits, algorithm });
      expect(found.decided).toEqual(nearest.decided);
      const limit = algorithm === 'gptq' ? 0.9 : 0.97;
      expect(await errorOf(text, found.model)).toBeLessThan(
        limit * (await errorOf(text, nearest.model)),
      );
    }
  });

  it('gives the same bytes again, on any thread', async () => {
    const bytes = async (algorithm: 'gptq' | 'awq') => {
      const { model } = await quantized(LAYERS, { algorithm });
      const found = [];
      for (const { data } of model.graph.initializers) found.push(await data?.load());
      return found;
    };
    for (const algorithm of ['gptq', 'awq'] as const) {
      expect(await bytes(algorithm)).toEqual(await bytes(algorithm));
    }
  });

  it('awq divides inside of the normalisation where all that reads it is scaled', async () => {
    const { model } = await quantized(NORMALISED, { bits: 8, algorithm: 'awq' });
    expect(opsOf(model)).toEqual(['Add', 'LayerNormalization', 'MatMulNBits', 'MatMulNBits']);
    const scale = [...model.graph.initializers].find(({ name }) => name === 's');
    const before = [...parseModel(NORMALISED).graph.initializers].find(({ name }) => name === 's');
    expect(scale?.data?.numbers()).not.toEqual(before?.data?.numbers());
    expect(await errorOf(NORMALISED, model)).toBeLessThan(0.02);
  });

  it('awq divides by a Mul where something else reads the value, once for all layers', async () => {
    const text = NORMALISED.replace(
      'y = Add(p, q)',
      'r = Add(p, q) u = ReduceMax<keepdims = 1>(n) y = Add(r, u)',
    );
    for (const one of [LAYERS, text]) {
      const { model } = await quantized(one, { bits: 8, algorithm: 'awq' });
      expect(opsOf(model).filter((op) => op === 'Mul').length).toBeGreaterThan(0);
      expect(await errorOf(one, model)).toBeLessThan(0.02);
    }
  });

  it('rounds to the nearest what it cannot see, and says so', async () => {
    const text = `<opset_import: ["": 17]> g (float[6, 64] x, bool c) => (float[6, 64] y)
      <float[64, 64] w = random, float[64, 64] v = random> {
        [seen] a = MatMul(x, w)
        y = If<
          then_branch = t () => (float[6, 64] p) { [hidden] p = MatMul(a, v) },
          else_branch = e () => (float[6, 64] q) { q = Identity(a) }
        >(c)
      }`;
    const feeds = new Map([
      ...(batches(1, 3)[0] ?? []),
      ['c', Tensor.of('bool', [], [1])] as const,
    ]);
    const seeing: Calibration = {
      ...calibration,
      observe: (model, names, visit) => observe(model, [feeds], names, visit),
    };
    for (const algorithm of ['gptq', 'awq'] as const) {
      const { decided } = await quantized(text, { algorithm }, { calibration: seeing });
      expect(decided).toEqual([
        ['seen', 'int4', undefined],
        [
          'hidden',
          'int4',
          'rounded to the nearest: what feeds it is inside of a branch or a function',
        ],
      ]);
    }
  });

  it('asks for data, and names what is not a number', async () => {
    await expect(quantized(LAYERS, { algorithm: 'gptq' }, {})).rejects.toThrow(
      '--algorithm "gptq" was given no data',
    );
    const bad = new Map([
      ['x', Tensor.of('float32', [6, 64], normals(384).fill(Number.NaN, 7, 8))],
    ]);
    const broken: Calibration = {
      ...calibration,
      observe: (model, names, visit) => observe(model, [bad], names, visit),
    };
    await expect(quantized(LAYERS, { algorithm: 'awq' }, { calibration: broken })).rejects.toThrow(
      '"x", which feeds node "one" (MatMul), holds NaN or infinity',
    );
  });
});
