// Weight-only quantisation: the stored bytes against a plain reading of the formula, and the results
// of onnxruntime against the float model with the weights that those bytes stand for.

import { describe, expect, it } from '@jest/globals';
import type { Model } from '../../../src/graph/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import { quantizeWeights, type WeightsOptions } from '../../../src/passes/quantize/weights.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { elementsOf } from '../../../src/tensor/elements.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';
import {
  type ContextParts,
  contextOf,
  largestDifference,
  nodesOf,
  normals,
  opsOf,
  restoreWeights,
} from './weights-helper.ts';

const run = createRunner();

const OPTIONS: WeightsOptions = {
  bits: 4,
  block: 32,
  symmetric: true,
  format: 'auto',
  algorithm: 'rtn',
};

async function quantized(
  text: string,
  options: Partial<WeightsOptions> = {},
  parts: ContextParts = {},
) {
  const model = parseModel(text);
  inferTypes(model);
  const { context, decided } = contextOf(run, parts);
  await quantizeWeights(model, { ...OPTIONS, ...options }, context);
  inferTypes(model);
  return { model, decided };
}

async function outputs(model: Model, feeds: Feeds): Promise<number[]> {
  const results = [...(await run(model, feeds)).values()];
  return results.flatMap((tensor) => Array.from(elementsOf(tensor) as Float32Array));
}

const X = new Map([['x', Tensor.of('float32', [5, 70], normals(350))]]);

/** The largest distance of each restored weight from the original, in steps of its block. */
function worstStep(original: number[], restored: Float32Array, width: number, steps: number) {
  let worst = 0;
  for (let start = 0; start < restored.length; start += width) {
    for (let k = 0; k < width; k += 32) {
      const at = [start + k, start + Math.min(width, k + 32)] as const;
      const own = original.slice(...at);
      const step = (Math.max(0, ...own) - Math.min(0, ...own)) / steps;
      worst = Math.max(worst, largestDifference(own, restored.subarray(...at)) / step);
    }
  }
  return worst;
}

describe('quantizeWeights', () => {
  const bodies: readonly [string, string][] = [
    ['MatMul', 'float[70, 24] w = random> { [n] y = MatMul(x, w) }'],
    ['Gemm', 'float[70, 24] w = random, float[24] c = random> { [n] y = Gemm(x, w, c) }'],
    [
      'Gemm, transposed and scaled',
      `float[24, 70] w = random, float[5, 1] c = random>
        { [n] y = Gemm<transB = 1, alpha = 0.5, beta = -2.0>(x, w, c) }`,
    ],
    [
      'MatMul behind a Transpose',
      'float[24, 70] w = random> { t = Transpose<perm = [1, 0]>(w) [n] y = MatMul(x, t) }',
    ],
    [
      'MatMul of rank 3',
      'float[70, 24] w = random> { u = Unsqueeze(x, zero) [n] y = MatMul(u, w) }',
    ],
  ];
  for (const bits of [8, 4, 2] as const) {
    for (const symmetric of [true, false]) {
      it.each(bodies)(`${bits} bits, ${symmetric ? '' : 'a'}symmetric: %s`, async (name, body) => {
        const y = name.includes('rank 3') ? '[1, 5, 24]' : '[5, 24]';
        const text = `g (float[5, 70] x) => (float${y} y) <int64[1] zero = {0}, ${body}`;
        const { model, decided } = await quantized(text, { bits, symmetric });
        expect(decided).toEqual([['n', `int${bits}`, undefined]]);
        expect(opsOf(model)).toContain('MatMulNBits');
        expect(opsOf(model)).not.toContain('Transpose');
        expect([...model.graph.initializers].map((value) => value.name)).not.toContain('w');
        const actual = await outputs(model, X);
        await restoreWeights(model);
        expect(opsOf(model)).not.toContain('MatMulNBits');
        expect(largestDifference(actual, await outputs(model, X))).toBeLessThan(1e-4);
      });
    }
  }

  it('rounds each weight to the nearest step of its block', async () => {
    const text = `g (float[5, 70] x) => (float[5, 24] y)
      <float[24, 70] w = random> { [n] y = Gemm<transB = 1>(x, w) }`;
    const weight = nodesOf(parseModel(text), 'Gemm')[0]?.input(1)?.data?.numbers() ?? [];
    for (const bits of [8, 4, 2] as const) {
      const { model } = await quantized(text, { bits, symmetric: false });
      const restored = (await restoreWeights(model)).get('n') ?? new Float32Array();
      const worst = worstStep(weight, restored, 70, 2 ** bits - 1);
      // The zero point is rounded, too: half a step more at the ends of the range.
      expect(worst).toBeLessThan(1.0001);
      expect(worst).toBeGreaterThan(0.4);
    }
  });

  it.each([
    ['MatMul', 'float[70, 24] w = random> { [n] y = MatMul(x, w) }'],
    [
      'MatMul with a stack of one',
      'float[1, 70, 24] w = random> { [n] z = MatMul(u, w) y = Squeeze(z, zero) }',
    ],
    [
      'Gemm',
      'float[24, 70] w = random, float[24] c = random> { [n] y = Gemm<transB = 1>(x, w, c) }',
    ],
    [
      'odd sizes',
      'float[70, 23] w = random, float[23, 24] v = random> { [n] m = MatMul(x, w) y = MatMul(m, v) }',
    ],
    [
      'behind a Transpose',
      'float[24, 70] w = random> { t = Transpose<perm = [1, 0]>(w) [n] y = MatMul(x, t) }',
    ],
  ])('stores weights behind DequantizeLinear: %s', async (name, body) => {
    const text = `g (float[5, 70] x, float[1, 5, 70] u) => (float[5, 24] y) <int64[1] zero = {0}, ${body}`;
    const original = (await restoredByRun(parseModel(text))).get('w');
    for (const [bits, block, symmetric] of [
      [8, 32, true],
      [4, 32, false],
      [4, 32, true],
      [4, 'channel', true],
      [8, 'channel', false],
      [2, 16, true],
      [2, 'channel', false],
    ] as const) {
      if (bits === 2 && name === 'odd sizes') continue;
      const { model, decided } = await quantized(text, { bits, block, symmetric, format: 'qdq' });
      expect(decided.filter(([node]) => node === 'n')).toEqual([['n', `int${bits}`, undefined]]);
      const restored = (await restoredByRun(model)).get('w');
      const steps = 2 ** bits - 1;
      const scale = (2 * Math.max(...(original ?? []).map(Math.abs))) / steps;
      expect(largestDifference(original ?? [], restored ?? [])).toBeLessThan(
        scale * (symmetric ? 1.1 : 0.6),
      );
    }
  });
});

/** The float weight behind the first DequantizeLinear, or the weight itself. */
async function restoredByRun(model: Model): Promise<Map<string, number[]>> {
  const [node] = nodesOf(model, 'DequantizeLinear');
  const value = node ? node.output : [...model.graph.initializers].find(({ name }) => name === 'w');
  const found = node
    ? (await run(model, new Map(), [node.output.name])).get(node.output.name)
    : value?.data;
  return new Map([['w', found?.numbers() ?? []]]);
}
