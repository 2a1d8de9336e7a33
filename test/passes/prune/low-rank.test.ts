import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../../src/ops/index.ts';
import { splitKernels } from '../../../src/passes/prune/low-rank.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';

const run = createRunner();
const random = new Random(7);
const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());
const text = (attrs: string) => `
g (float[1, 6, 9, 8] x) => (float[1, 8, h, v] y) <float[8, 6, 3, 3] w = random, float[8] b = random>
{ y = Conv<${attrs}>(x, w, b) }`;
const x = new Map([['x', Tensor.of('float32', [1, 6, 9, 8], normal(432))]]);

/** A kernel that is a sum of `rank` products of a column and a row. */
function separable(rank: number): Float32Array {
  const [v, h] = [normal(rank * 6 * 3), normal(8 * rank * 3)];
  return Float32Array.from({ length: 8 * 6 * 9 }, (_, at) => {
    const [m, c, i, j] = [
      Math.floor(at / 54),
      Math.floor(at / 9) % 6,
      Math.floor(at / 3) % 3,
      at % 3,
    ];
    let sum = 0;
    for (let r = 0; r < rank; r++) {
      sum += (v[(r * 6 + c) * 3 + i] as number) * (h[(m * rank + r) * 3 + j] as number);
    }
    return sum;
  });
}

describe('low-rank kernels', () => {
  it.each([
    'pads = [1, 1, 1, 1]',
    'pads = [1, 2, 0, 1], strides = [2, 1], dilations = [1, 2], kernel_shape = [3, 3]',
  ])('are the same function where the kernel is separable: %s', async (attrs) => {
    const [model, original] = [parseModel(text(attrs)), parseModel(text(attrs))];
    for (const one of [model, original]) {
      const [w] = one.graph.initializers;
      if (w) one.graph.setData(w, Tensor.of('float32', [8, 6, 3, 3], kernel));
      inferTypes(one);
    }
    const { splits } = splitKernels(model, { amount: 0.5, skip: [], only: [] });
    expect(splits).toHaveLength(1);
    expect(splits[0]?.error).toBeLessThan(1e-6);
    expect(splits[0]?.after).toBeLessThanOrEqual(0.5 * (splits[0]?.before ?? 0));
    const [a, b] = await Promise.all([run(model, x), run(original, x)]);
    const [p, q] = [a.get('y')?.numbers() ?? [], b.get('y')?.numbers() ?? []];
    p.forEach((value, i) => void expect(value).toBeCloseTo(q[i] as number, 3));
  });

  it('lose what the singular values say', () => {
    const model = parseModel(text('pads = [1, 1, 1, 1]'));
    inferTypes(model);
    const data = [...model.graph.initializers][0]?.data?.values() as Float32Array;
    const { splits } = splitKernels(model, { amount: 0.5, skip: [], only: [] });
    const [first, second] = [...model.graph.nodes].map((node) => node.input(1)?.data as Tensor);
    const [v, h] = [first, second].map((tensor) => tensor?.values() as Float32Array);
    const rank = first?.shape[0] ?? 0;
    let [lost, all] = [0, 0];
    data.forEach((w, at) => {
      const [m, c, i, j] = [
        Math.floor(at / 54),
        Math.floor(at / 9) % 6,
        Math.floor(at / 3) % 3,
        at % 3,
      ];
      let sum = 0;
      for (let r = 0; r < rank; r++) {
        sum +=
          ((v as Float32Array)[(r * 6 + c) * 3 + i] as number) *
          ((h as Float32Array)[(m * rank + r) * 3 + j] as number);
      }
      lost += (w - sum) ** 2;
      all += w * w;
    });
    expect(Math.sqrt(lost / all)).toBeCloseTo(splits[0]?.error as number, 4);
    expect(splits[0]?.error).toBeLessThan(0.8);
  });

  it('leave what would cost more', () => {
    const model = parseModel(text('pads = [1, 1, 1, 1]'));
    inferTypes(model);
    const { left } = splitKernels(model, { amount: 0.01, skip: [], only: [] });
    expect(left.length + [...model.graph.nodes].length).toBeGreaterThan(1);
  });
});

const kernel = separable(4);
