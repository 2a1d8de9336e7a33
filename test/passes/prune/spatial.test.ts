import { describe, expect, it } from '@jest/globals';
import type { Model } from '../../../src/graph/index.ts';
import { inferTypes } from '../../../src/ops/index.ts';
import { blockInfluence, dropBlock, findBlocks } from '../../../src/passes/prune/layer.ts';
import { cropKernels } from '../../../src/passes/prune/spatial.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';

const run = createRunner();
const random = new Random(5);
const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());

function modelOf(text: string): Model {
  const model = parseModel(text);
  inferTypes(model);
  return model;
}

describe('kernel edges', () => {
  const text = (attrs: string) => `
g (float[1, 4, 9, 8] x) => (float[1, 4, h, v] y) <float[4, 2, 3, 3] a = random, float[4, 4, 3, 3] b = random>
{
  c = Conv<group = 2, ${attrs}>(x, a)
  r = Relu(c)
  y = Conv<pads = [1, 1, 1, 1]>(r, b)
}`;
  const x = new Map([['x', Tensor.of('float32', [1, 4, 9, 8], normal(288))]]);

  it.each([
    'pads = [1, 1, 1, 1]',
    'pads = [2, 2, 2, 2], dilations = [2, 2], strides = [2, 1]',
    'pads = [1, 2, 0, 1], kernel_shape = [3, 3]',
  ])('cropped, give what zeros in their place give: %s', async (attrs) => {
    const cropped = modelOf(text(attrs));
    const zeroed = modelOf(text(attrs));
    const { kernels } = cropKernels(cropped, { amount: 0.45, skip: [], only: [] });
    expect(kernels.some(({ kept }) => kept.some(([from, to]) => to - from < 3))).toBe(true);
    const weights = [...zeroed.graph.initializers];
    for (const { weight, kept } of kernels) {
      const own = weights.find(({ name }) => name === weight.name);
      if (!own?.data) continue;
      const values = (own.data.values() as Float32Array).slice();
      const [rows, columns] = kept as [[number, number], [number, number]];
      for (let i = 0; i < values.length; i++) {
        const [r, c] = [Math.floor((i % 9) / 3), i % 3];
        if (r < rows[0] || r >= rows[1] || c < columns[0] || c >= columns[1]) values[i] = 0;
      }
      zeroed.graph.setData(own, Tensor.of('float32', own.data.shape, values));
    }
    const [a, b] = await Promise.all([run(cropped, x), run(zeroed, x)]);
    const [p, q] = [a.get('y')?.numbers() ?? [], b.get('y')?.numbers() ?? []];
    expect(p).toHaveLength(q.length);
    p.forEach((value, i) => void expect(value).toBeCloseTo(q[i] as number, 4));
  });

  it('stay where there is no padding to shrink', () => {
    const model = modelOf(text('pads = [0, 0, 0, 0]'));
    const { kernels } = cropKernels(model, { amount: 0.2, skip: [], only: [] });
    expect(kernels[0]?.kept).toEqual([
      [0, 3],
      [0, 3],
    ]);
  });
});

describe('residual blocks', () => {
  const text = `
g (float[n, 4] x) => (float[n, 4] z)
<float[4, 4] a = random, float[4, 4] b = {0.01, 0, 0, 0, 0, 0.01, 0, 0, 0, 0, 0.01, 0, 0, 0, 0, 0.01}, float[4, 4] c = random>
{
  s = Tanh(x)
  p = MatMul(s, a)
  u = Add(s, p)
  q = MatMul(u, b)
  v = Add(q, u)
  z = MatMul(v, c)
}`;

  it('are found, judged by what they change, and left out', async () => {
    const model = modelOf(text);
    const blocks = findBlocks(model);
    expect(blocks.map(({ node, skip }) => [node.outputs[0]?.name, skip.name])).toEqual([
      ['u', 's'],
      ['v', 'u'],
    ]);
    const feeds = new Map([['x', Tensor.of('float32', [8, 4], normal(32))]]);
    const influence = await blockInfluence(model, blocks, {
      async observe(of, names, visit) {
        const found = await run(of, feeds, names);
        for (const name of names) await visit(name, found.get(name) as Tensor);
      },
    });
    // The second one adds a hundredth of what it reads.
    expect(influence[1]).toBeCloseTo(0, 6);
    expect(influence[0]).toBeGreaterThan(0.01);
    const before = (await run(model, feeds)).get('z')?.numbers() ?? [];
    dropBlock(model, blocks[1] as (typeof blocks)[number]);
    const after = (await run(model, feeds)).get('z')?.numbers() ?? [];
    after.forEach((value, i) => void expect(value * 1.01).toBeCloseTo(before[i] as number, 5));
  });
});
