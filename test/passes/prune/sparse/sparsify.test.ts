import { describe, expect, it } from '@jest/globals';
import type { Model, Value } from '../../../../src/graph/index.ts';
import { inferTypes } from '../../../../src/ops/index.ts';
import type { Score, SparsifyOptions } from '../../../../src/passes/prune/sparse/options.ts';
import { markLeast, thresholdOf } from '../../../../src/passes/prune/sparse/select.ts';
import { sparsify } from '../../../../src/passes/prune/sparse/sparsify.ts';
import { parsePattern } from '../../../../src/passes/select.ts';
import { createRunner, loadModel } from '../../../../src/runtime/runner.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { Tensor } from '../../../../src/tensor/tensor.ts';
import { parseModel } from '../../../helpers/parse.ts';

const run = createRunner();
const random = new Random(3);
const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());

/** Correlated inputs: 8 numbers behind 16. */
const mix = normal(8 * 16);
const rows = Array.from({ length: 64 }, () => {
  const base = normal(8);
  return Float32Array.from({ length: 16 }, (_, k) =>
    base.reduce((sum, value, j) => sum + value * (mix[j * 16 + k] as number), 0),
  );
});
const X = Tensor.of(
  'float32',
  [64, 16],
  rows.flatMap((row) => [...row]),
);

const observer = (feeds: ReadonlyMap<string, Tensor>) => ({
  async observe(
    model: Model,
    names: readonly string[],
    visit: (name: string, tensor: Tensor) => void | Promise<void>,
  ) {
    const found = await run(model, feeds, names);
    for (const name of names) await visit(name, found.get(name) ?? (feeds.get(name) as Tensor));
  },
});

const plain: SparsifyOptions = {
  score: 'magnitude',
  amount: 0.5,
  amounts: [],
  scope: 'layer',
  skip: [],
  only: [],
};

async function weightOf(model: Model, name: string): Promise<number[]> {
  const value = [...model.graph.initializers].find((one) => one.name === name);
  const bytes = (await value?.data?.load()) as Uint8Array;
  return [...new Float32Array(bytes.slice().buffer)];
}

function model(text: string): Model {
  const made = parseModel(text);
  inferTypes(made);
  return made;
}

const TWO = `
g (float[n, 4] x) => (float[n, 2] y)
<float[4, 3] a = {1, -8, 2, 7, 3, -6, 4, 5, 9, -10, 11, 12}, float[3, 2] b = {0.1, 0.2, -0.3, 0.4, 0.5, -0.6}>
{
  h = MatMul(x, a)
  y = MatMul(h, b)
}`;

describe('sparsify by magnitude', () => {
  it('takes the same share of each layer', async () => {
    const m = model(TWO);
    const { outcomes } = await sparsify(m, plain, { load: loadModel });
    expect(outcomes.map(({ zeros, elements }) => [zeros, elements])).toEqual([
      [6, 12],
      [3, 6],
    ]);
    expect(await weightOf(m, 'a')).toEqual([0, -8, 0, 7, 0, 0, 0, 0, 9, -10, 11, 12]);
  });

  it('takes the least of all, and amounts of their own apart', async () => {
    const m = model(TWO);
    await sparsify(m, { ...plain, scope: 'global', normalization: 'none' }, { load: loadModel });
    expect(await weightOf(m, 'b')).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await weightOf(m, 'a')).toEqual([0, -8, 0, 7, 0, -6, 4, 5, 9, -10, 11, 12]);
    const own = model(TWO);
    const amounts = [{ pattern: parsePattern('h'), amount: 0.25 }];
    await sparsify(own, { ...plain, scope: 'global', amounts }, { load: loadModel });
    expect((await weightOf(own, 'a')).filter((value) => value === 0)).toHaveLength(3);
    expect((await weightOf(own, 'b')).filter((value) => value === 0)).toHaveLength(3);
  });

  it('ranks by what is left of a layer above a weight (LAMP)', async () => {
    const m = model(`
g (float[n, 2] x) => (float[n, 2] y) <float[2, 2] a = {3, 4, 12, 84}, float[2, 2] b = {0.1, 0.1, 0.1, 0.1}>
{ h = MatMul(x, a) y = MatMul(h, b) }`);
    // Scores: a 9/7225, 16/7216, 144/7200, 1; b 1/4, 1/3, 1/2, 1.
    await sparsify(m, { ...plain, scope: 'global' }, { load: loadModel });
    expect(await weightOf(m, 'a')).toEqual([0, 0, 0, 84]);
    expect((await weightOf(m, 'b')).map((value) => value === 0)).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it('leaves out what is skipped, with the reason', async () => {
    const m = model(TWO);
    const { left } = await sparsify(
      m,
      { ...plain, skip: [parsePattern('y')] },
      { load: loadModel },
    );
    expect(left).toMatchObject([{ reason: '--skip y' }]);
    expect(await weightOf(m, 'b')).not.toContain(0);
  });

  it('takes small weights first where gradients say nothing', async () => {
    const m = model(TWO);
    const importances = async (weights: readonly Value[]) =>
      new Map(weights.map((weight) => [weight, new Float32Array(weight.data?.size ?? 0)]));
    await sparsify(m, { ...plain, score: 'gradient' }, { load: loadModel, importances });
    expect(await weightOf(m, 'a')).toEqual([0, -8, 0, 7, 0, 0, 0, 0, 9, -10, 11, 12]);
  });

  it('breaks ties in order', () => {
    const marks = new Uint8Array(5);
    markLeast(Float32Array.of(1, 1, 1, 0, 1), 0, 5, 3, marks);
    expect([...marks]).toEqual([1, 1, 0, 1, 0]);
  });

  it('marks as many of a large tensor as of a small one', () => {
    const scores = normal(100_000).map(Math.abs);
    const marks = new Uint8Array(scores.length);
    markLeast(scores, 0, scores.length, 30_001, marks);
    const [gone, kept] = [1, 0].map((mark) => scores.filter((_, i) => marks[i] === mark));
    expect(gone).toHaveLength(30_001);
    const most = (gone as Float32Array).reduce((a, b) => Math.max(a, b));
    expect(most).toBeLessThanOrEqual((kept as Float32Array).reduce((a, b) => Math.min(a, b)));
  });

  it('finds a threshold over many tensors as sorting would', () => {
    const tensors = [normal(1000), normal(333), Float32Array.of(0, 0, -0, 1e-42, 3)];
    const all = tensors.flatMap((t) => [...t]).map(Math.abs);
    all.sort((a, b) => a - b);
    for (const count of [1, 3, 500, 1000, all.length]) {
      const { limit, ties } = thresholdOf(count, (visit) => {
        for (const t of tensors) visit(new Uint32Array(t.buffer));
      });
      expect(limit).toBe(all[count - 1]);
      expect(all.filter((value) => value < limit).length + ties).toBe(count);
    }
  });
});

describe('N:M', () => {
  const text = `
g (float[n, 8] x) => (float[n, 1] y) <float[8, 1] w = {1, 5, -3, 2, -8, 4, 7, 6}> { y = MatMul(x, w) }`;

  it('keeps N of M neighbours along the input', async () => {
    const m = model(text);
    await sparsify(m, { ...plain, groups: { n: 2, m: 4 } }, { load: loadModel });
    expect(await weightOf(m, 'w')).toEqual([0, 5, -3, 0, -8, 0, 7, 0]);
  });

  it('leaves what M does not divide', async () => {
    const m = model(text);
    const { left } = await sparsify(m, { ...plain, groups: { n: 1, m: 3 } }, { load: loadModel });
    expect(left).toMatchObject([{ reason: 'its 8 inputs are no multiple of 3' }]);
  });
});

describe('with data', () => {
  const width = 16;
  const outputs = 12;
  const W = normal(width * outputs);
  const text = `g (float[n, 16] x) => (float[n, 12] y) <float[16, 12] w = random> { y = MatMul(x, w) }`;
  const fresh = () => {
    const m = model(text);
    const [w] = m.graph.initializers;
    if (w) m.graph.setData(w, Tensor.of('float32', [width, outputs], W));
    return m;
  };

  async function errorOf(score: Score, groups?: { n: number; m: number }): Promise<number> {
    const m = fresh();
    const feeds = new Map([['x', X]]);
    await sparsify(
      m,
      { ...plain, score, ...(groups ? { groups } : {}) },
      { load: loadModel, observer: observer(feeds) },
    );
    const zeros = (await weightOf(m, 'w')).filter((value) => value === 0).length;
    expect(zeros / W.length).toBeCloseTo(0.5, 1);
    const [a, b] = await Promise.all([fresh(), m].map((one) => outputsOf(one, feeds)));
    return Math.hypot(...(a as number[]).map((value, i) => value - ((b as number[])[i] as number)));
  }

  async function outputsOf(m: Model, feeds: ReadonlyMap<string, Tensor>): Promise<number[]> {
    const session = await loadModel(m);
    const found = (await session.run(new Map(feeds))).get('y')?.numbers() ?? [];
    await session.dispose();
    return found;
  }

  it.each([undefined, { n: 2, m: 4 }])(
    'sparsegpt errs less than magnitude (groups %p)',
    async (groups) => {
      const [magnitude, wanda, sparsegpt] = [
        await errorOf('magnitude', groups),
        await errorOf('wanda', groups),
        await errorOf('sparsegpt', groups),
      ];
      expect(sparsegpt).toBeLessThan(wanda);
      expect(sparsegpt).toBeLessThan(0.9 * magnitude);
    },
  );

  it('wanda takes of each output what is least of |w| · ‖x‖', async () => {
    const m = fresh();
    await sparsify(
      m,
      { ...plain, score: 'wanda' },
      { load: loadModel, observer: observer(new Map([['x', X]])) },
    );
    const w = await weightOf(m, 'w');
    const norms = Array.from({ length: width }, (_, k) =>
      Math.hypot(...rows.map((row) => row[k] as number)),
    );
    for (let r = 0; r < outputs; r++) {
      const order = norms
        .map((norm, k) => [Math.abs(W[k * outputs + r] as number) * norm, k] as const)
        .sort((a, b) => a[0] - b[0]);
      const gone = new Set(order.slice(0, width / 2).map(([, k]) => k));
      for (let k = 0; k < width; k++) expect(w[k * outputs + r] === 0).toBe(gone.has(k));
    }
  });

  it('sees convolutions as products with patches', async () => {
    const conv = (w: string) => `
g (float[1, 2, 5, 6] x) => (float[1, 3, h, v] y) <float[3, 2, 3, 2] w = ${w}>
{ y = Conv<pads = [1, 0, 1, 1], strides = [2, 1], dilations = [1, 2]>(x, w) }`;
    const x = Tensor.of('float32', [1, 2, 5, 6], normal(60));
    const m = model(conv('random'));
    const original = await outputsOf(m, new Map([['x', x]]));
    await sparsify(
      m,
      { ...plain, score: 'sparsegpt', amount: 0.25 },
      { load: loadModel, observer: observer(new Map([['x', x]])) },
    );
    const pruned = await outputsOf(m, new Map([['x', x]]));
    const cut = model(conv('random'));
    await sparsify(cut, { ...plain, amount: 0.25 }, { load: loadModel });
    const plainly = await outputsOf(cut, new Map([['x', x]]));
    const distance = (a: number[]) => Math.hypot(...a.map((v, i) => v - (original[i] as number)));
    expect(distance(pruned)).toBeLessThan(distance(plainly));
  });

  it.each(['sparsegpt', 'wanda'] as const)(
    '%s: groups of a convolution are layers side by side',
    async (score) => {
      const apart = `
g (float[1, 4, 5, 6] x) => (float[1, 6, h, v] y)
<float[3, 2, 3, 3] a = random, float[3, 2, 3, 3] b = random, int64[2] parts = {2, 2}>
{
  l, r = Split<axis = 1>(x, parts)
  c = Conv<auto_pad = "SAME_UPPER">(l, a)
  d = Conv<auto_pad = "SAME_UPPER">(r, b)
  y = Concat<axis = 1>(c, d)
}`;
      const together = `
g (float[1, 4, 5, 6] x) => (float[1, 6, h, v] y) <float[6, 2, 3, 3] w = random>
{ y = Conv<group = 2, auto_pad = "SAME_UPPER">(x, w) }`;
      const [a, b] = [normal(54), normal(54)];
      const set = (m: Model, data: Record<string, Float32Array>) => {
        for (const value of m.graph.initializers) {
          const own = data[value.name];
          if (own) m.graph.setData(value, Tensor.of('float32', value.data?.shape ?? [], own));
        }
        return m;
      };
      const x = Tensor.of('float32', [1, 4, 5, 6], normal(120));
      const feeds = new Map([['x', x]]);
      const options = { ...plain, score, groups: { n: 1, m: 3 } };
      const one = set(model(together), { w: Float32Array.of(...a, ...b) });
      const two = set(model(apart), { a, b });
      const context = { load: loadModel, observer: observer(feeds) };
      await sparsify(one, options, context);
      await sparsify(two, options, context);
      const parts = [...(await weightOf(two, 'a')), ...(await weightOf(two, 'b'))];
      const whole = await weightOf(one, 'w');
      expect(whole.map((w) => w === 0)).toEqual(parts.map((w) => w === 0));
      for (const [i, w] of whole.entries()) expect(w).toBeCloseTo(parts[i] as number, 5);
      expect(whole.filter((w) => w === 0)).toHaveLength(72);
    },
  );
});
