import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../../../src/ops/index.ts';
import { findProducts } from '../../../../src/passes/prune/sparse/products.ts';
import { stagesOf } from '../../../../src/passes/prune/sparse/stages.ts';
import { parseModel } from '../../../helpers/parse.ts';

/** Layers of 2048 by 2048: sums of 32 MB for each of them. */
const model = parseModel(
  `
g (float[n, 2048] x, float[n, 2048] z) => (float[n, 2048] y)
<float[2048, 2048] a = random, float[2048, 2048] b = random, float[2048, 2048] c = random, float[2048, 2048] d = random>
{
  p = MatMul(x, a)
  q = MatMul(x, b)
  r = Relu(p)
  s = MatMul(r, c)
  t = Add(s, q)
  u = Add(t, z)
  y = MatMul(u, d)
}`,
);

describe('stages', () => {
  it('cut a model where sums or weights are too large, and keep what is read on', () => {
    inferTypes(model);
    const { products } = findProducts(model, { skip: [], only: [] });
    expect(products).toHaveLength(4);
    const stages = stagesOf(model, products, 'gram');
    const names = stages.map((one) => one.products.map(({ node }) => node.outputs[0]?.name));
    expect(names).toEqual([['p', 'q', 's'], ['y']]);
    expect(stages.map(({ frontier }) => frontier)).toEqual([['u'], undefined]);
  });

  it('are one where there is room for all', () => {
    const { products } = findProducts(model, { skip: [], only: [] });
    expect(stagesOf(model, products, 'squares').map((one) => one.products.length)).toEqual([4]);
  });
});
