// Vectors that are updated as one, against each by itself.

import { expect, it } from '@jest/globals';
import { allGraphs } from '../../src/graph/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { OPTIMIZERS, type Optimizer } from '../../src/train/optimizers.ts';
import { graphOf, steps } from './training.ts';

const text = `
g (float[2, 3] x) => (float[2, 1] y)
<float[3, 4] a = random, float[4] b = random, float[4, 4] c = random, float[4] d = random,
 float[4, 1] e = random, float[1] h = random, float s = {0.5}>
{
  p = Gemm(x, a, b)
  q = Tanh(p)
  r = Gemm(q, c, d)
  t = Tanh(r)
  u = Gemm(t, e, h)
  y = Mul(u, s)
}`;
const feeds = new Map([
  [
    'x',
    Tensor.of(
      'float32',
      [3, 2, 3],
      Array.from({ length: 18 }, (_, i) => Math.sin(i)),
    ),
  ],
  ['target/labels', Tensor.of('float32', [3, 2, 1], [1, -1, 0.5, 2, 0, 1])],
]);
/** Nodes of the branch that updates. */
function updating({ model }: ReturnType<typeof graphOf>): number {
  const branch = [...allGraphs(model)].find(({ name }) => name === 'update');
  return branch?.nodeCount ?? 0;
}

it.each(Object.keys(OPTIMIZERS))('%s', async (name) => {
  const optimizer = OPTIMIZERS[name] as Optimizer;
  const one = { text, optimizer: name, decay: 0.1 };
  const alone = { ...one, plan: { optimizer: { ...optimizer, isByElement: false } } };
  const rates = [0.01, 0.02, 0.01];
  const [found, expected] = [await steps(one, feeds, rates), await steps(alone, feeds, rates)];
  expect(found).toEqual(expected);
  const [fewer, more] = [one, alone].map((each) => updating(graphOf(each)));
  if (optimizer.isByElement) expect(fewer).toBeLessThan(more as number);
  else expect(fewer).toBe(more);
});
