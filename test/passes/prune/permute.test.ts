import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../../src/ops/index.ts';
import { permuteForPattern } from '../../../src/passes/prune/permute.ts';
import { createRunner } from '../../../src/runtime/runner.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { parseModel } from '../../helpers/parse.ts';

const run = createRunner();
const random = new Random(11);
const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());

const MLP = `
g (float[n, 6] x) => (float[n, 3] y)
<float[6, 16] a = random, float[16] b = random, float[16, 8] c = random, float[8, 3] d = random>
{
  h = MatMul(x, a)
  s = Add(h, b)
  r = Relu(s)
  p = MatMul(r, c)
  t = Tanh(p)
  y = MatMul(t, d)
}`;
const CONV = `
g (float[1, 3, 6, 6] x) => (float[1, 4, 6, 6] y)
<float[8, 3, 3, 3] a = random, float[8] s = random, float[8] t = random, float[8] m = random,
 float[8] v = {1, 2, 3, 4, 5, 6, 7, 8}, float[8, 1, 3, 3] k = random, float[4, 8, 1, 1] c = random>
{
  h = Conv<pads = [1, 1, 1, 1]>(x, a)
  b = BatchNormalization(h, s, t, m, v)
  e = Conv<pads = [1, 1, 1, 1], group = 8>(b, k)
  r = Relu(e)
  y = Conv(r, c)
}`;

describe('channels in another order', () => {
  it.each([
    ['a perceptron', MLP, [4, 6]],
    ['a depthwise block', CONV, [1, 3, 6, 6]],
  ] as const)('are the same function, and N:M keeps more: %s', async (_, text, shape) => {
    const model = parseModel(text);
    inferTypes(model);
    const size = shape.reduce<number>((a, b) => a * b, 1);
    const feeds = new Map([['x', Tensor.of('float32', shape, normal(size))]]);
    const before = (await run(model, feeds)).get('y')?.numbers() ?? [];
    const found = permuteForPattern(model, 2, 4);
    expect(found.length).toBeGreaterThan(0);
    for (const one of found) expect(one.after).toBeGreaterThan(one.before);
    const after = (await run(model, feeds)).get('y')?.numbers() ?? [];
    after.forEach((value, i) => void expect(value).toBeCloseTo(before[i] as number, 4));
  });

  it('find the order that loses nothing', () => {
    // Rows 0-3 of w are large, the rest is nothing: two of each belong together.
    const w = [9, 8, 7, 6, 0, 0, 0, 0];
    const model = parseModel(`
g (float[n, 2] x) => (float[n, 1] y) <float[2, 8] a = random, float[8, 1] w = {${w}}>
{ h = MatMul(x, a) r = Relu(h) y = MatMul(r, w) }`);
    inferTypes(model);
    const [found] = permuteForPattern(model, 2, 4);
    expect(found?.before).toBeCloseTo(17 / 30, 6);
    expect(found?.after).toBe(1);
  });
});
