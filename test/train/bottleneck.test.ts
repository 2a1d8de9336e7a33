// Where adapters go, that they change nothing at first, and what is trained beside them.

import { describe, expect, it } from '@jest/globals';
import { createRunner } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { addBottlenecks, normsAndHead } from '../../src/train/bottleneck.ts';
import { parseModel } from '../helpers/parse.ts';

// A product with its bias beside what it was made of; one that nothing goes around; a bare one that is
// turned first; a head.
const model = () =>
  parseModel(`
g (float[2, 3, 4] x) => (float[2, 3, 5] y) <
  float[4] g1 = random, float[4] b1 = random,
  float[4, 4] A = random, float[4] a = random,
  float[4, 4] B = random, float[4] b = random,
  float[4, 4] C = random, float[4, 5] H = random, float[5] h = random
> {
  n = LayerNormalization(x, g1, b1)
  p = MatMul(n, A)
  pa = Add(p, a)
  r = Add(x, pa)
  q = MatMul(r, B)
  qb = Add(b, q)
  s = Relu(qb)
  c = MatMul(s, C)
  t = Dropout(c)
  u = Add(t, r)
  v = MatMul(u, H)
  y = Add(v, h)
}`);

describe('bottleneck adapters', () => {
  it('stand behind products that feed residual sums, and change nothing at first', async () => {
    const [before, after] = [model(), model()];
    const names = addBottlenecks(after, { width: 2, seed: 1 });
    const places = [...names].map((name) => name.split('#')[0]);
    expect([...new Set(places)]).toEqual(['pa', 'c']);
    expect(names.size).toBe(8);
    const x = Tensor.of('float32', [2, 3, 4], Float32Array.from({ length: 24 }, Math.sin));
    const run = createRunner();
    const results = await Promise.all(
      [before, after].map((one) => run(one, new Map([['x', x]]), ['y'])),
    );
    const [first, second] = results.map((result) => [...(result.get('y')?.numbers() ?? [])]);
    expect(second).toEqual(first);
  });

  it('change the results once their second matrix does', async () => {
    const changed = model();
    addBottlenecks(changed, { width: 2, seed: 1 });
    for (const value of changed.graph.initializers) {
      if (!/#adapter_(up|down_bias)$/.test(value.name) || !value.data) continue;
      const ones = new Float32Array(value.data.size).fill(1);
      changed.graph.setData(value, Tensor.of('float32', value.data.shape, ones));
    }
    const x = Tensor.of('float32', [2, 3, 4], new Float32Array(24).fill(0.5));
    const run = createRunner();
    const feeds = new Map([['x', x]]);
    const [a, b] = [await run(model(), feeds, ['y']), await run(changed, feeds, ['y'])];
    expect(b.get('y')?.numbers()).not.toEqual(a.get('y')?.numbers());
  });

  it('are trained with norms and the head', () => {
    const names = [...normsAndHead(model())].map(({ name }) => name);
    expect(names.sort()).toEqual(['H', 'b1', 'g1', 'h']);
  });
});
