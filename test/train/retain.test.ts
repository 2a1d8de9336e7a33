import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { buildFisher } from '../../src/train/fisher.ts';
import { setClasses } from '../../src/train/head.ts';
import { NEXT, STEPS } from '../../src/train/loop.ts';
import { OBJECTIVES } from '../../src/train/objectives/index.ts';
import {
  OBJECTIVE_DEFAULTS,
  type Objective,
  type ObjectiveContext,
} from '../../src/train/objectives/objective.ts';
import { parametersOf } from '../../src/train/parameters.ts';
import { amongNew, elastic, padded, penalized, unmoved } from '../../src/train/retain.ts';
import { parseModel } from '../helpers/parse.ts';
import { steps } from './training.ts';

const X = [1, 2, -1, 0.5, 3, -2];
const W = [0.5, -1, 0.25, 2, 0.125, -0.75];
const V = [0.3, -0.6, 0.9, -1.2];
const floats = (shape: number[], values: readonly number[]) => Tensor.of('float32', shape, values);
/** W tells three classes apart, V told two. */
const TEXT = `
g (float[3, 2] x) => (float[3, 3] y, float[3, 2] t)
<float[2, 3] W = {${W.join(', ')}}, float[2, 2] V = {${V.join(', ')}}>
{
  y = MatMul(x, W)
  t = MatMul(x, V)
}`;

/** An objective without a loss of its own. */
const nothing = (f: ObjectiveContext['f'], output: ObjectiveContext['outputs'][number]) => ({
  loss: { sum: f.mul(f.sum(output), 0), count: f.number(1, 'float32') },
  metrics: new Map(),
});

function objective(build: (c: ObjectiveContext) => ReturnType<Objective['build']>): Objective {
  return { summary: '', targets: () => [], build };
}

const rows = (weights: readonly number[], classes: number) =>
  [0, 1, 2].map((n) =>
    Array.from(
      { length: classes },
      (_, c) =>
        (X[2 * n] as number) * (weights[c] as number) +
        (X[2 * n + 1] as number) * (weights[classes + c] as number),
    ),
  );

const softmax = (logits: readonly number[]) => {
  const e = logits.map(Math.exp);
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
};

const one = (made: Objective) =>
  steps(
    { text: TEXT, plan: { objective: made }, settings: { momentum: 0 } },
    new Map([
      ['x', floats([1, 3, 2], X)],
      ['target/labels', Tensor.of('int64', [1, 3], [2, 0, 2])],
    ]),
    [0.1],
  );

describe('elastic weight consolidation', () => {
  it('pulls weights back as strongly as they mattered', async () => {
    const start = W.map((w, i) => w - 0.1 * i);
    const fisher = [0, 1, 2, 0.5, 0.25, 4];
    const found = await one(
      objective((c) => {
        const parameter = c.f.model.graph.inputs.find(({ name }) => name === 'W');
        if (!parameter) throw new Error('no W');
        const anchor = {
          parameter,
          start: floats([2, 3], start),
          fisher: floats([2, 3], fisher),
        };
        const own = objective(({ f, outputs: [y] }) => nothing(f, y as typeof parameter));
        return penalized(own, [elastic([anchor], 3)]).build(c);
      }),
    );
    const F = (i: number) => fisher[i] as number;
    const penalty = W.reduce((sum, _, i) => sum + (F(i) * (0.1 * i) ** 2) / 2, 0);
    expect(found.get('report:ewc')?.[0]).toBeCloseTo(penalty, 6);
    expect(found.get('report:loss')?.[0]).toBeCloseTo(3 * penalty, 5);
    found.get('W')?.forEach((w, i) => {
      expect(w).toBeCloseTo((W[i] as number) - 0.1 * 3 * F(i) * 0.1 * i, 5);
    });
  });

  it('takes the mean of squared gradients of single samples', async () => {
    const model = parseModel(`
g (float[1, 2] x) => (float[1, 1] y)
<float[2, 1] W = {0.5, -1}>
{
  y = MatMul(x, W)
}`);
    model.opsets.set('', 21);
    inferTypes(model);
    const parameters = parametersOf(model).trained;
    const graph = buildFisher({
      model,
      parameters,
      objective: OBJECTIVES.regress,
      settings: OBJECTIVE_DEFAULTS,
    });
    const [sum] = graph.sums.values();
    const session = await loadModel(graph.model);
    const labels = [0.3, -0.7, 1.1];
    const results = await session.run(
      new Map([
        ['x', floats([3, 1, 2], X)],
        ['target/labels', floats([3, 1, 1], labels)],
        [sum?.name ?? '', floats([2, 1], [10, 20])],
        [STEPS, Tensor.scalar('int64', 3)],
      ]),
    );
    await session.dispose();
    const wanted = [10, 20];
    labels.forEach((label, n) => {
      const [a, b] = [X[2 * n] as number, X[2 * n + 1] as number];
      const error = 2 * (0.5 * a - b - label);
      wanted[0] = (wanted[0] as number) + (error * a) ** 2;
      wanted[1] = (wanted[1] as number) + (error * b) ** 2;
    });
    const found = results.get(`${NEXT}${sum?.name}`)?.numbers() ?? [];
    found.forEach((value, i) => void expect(value).toBeCloseTo(wanted[i] as number, 3));
    expect(found).toHaveLength(2);
  });

  it('knows nothing of classes that are new', () => {
    const two = floats([2, 2], [1, 2, 3, 4]);
    expect(padded(two, [2, 3]).numbers()).toEqual([1, 2, 0, 3, 4, 0]);
    expect(padded(two, [3, 2]).numbers()).toEqual([1, 2, 3, 4, 0, 0]);
    expect(padded(two, [2, 2])).toBe(two);
  });
});

describe('learning without forgetting', () => {
  it('holds softened old classes against what they were', async () => {
    const found = await one(
      objective((c) => {
        const [y, t] = c.outputs as [(typeof c.outputs)[number], (typeof c.outputs)[number]];
        const own = objective(({ f }) => nothing(f, y));
        return penalized(own, [unmoved(t, 2, 'kl')]).build(c);
      }),
    );
    const soft = (logits: readonly number[]) => softmax(logits.map((x) => x / 2));
    const now = rows(W, 3).map((logits) => soft(logits.slice(0, 2)));
    const then = rows(V, 2).map(soft);
    const divergences = then.map((p, n) =>
      p.reduce((sum, x, c) => sum + x * Math.log(x / (now[n]?.[c] as number)), 0),
    );
    const mean = divergences.reduce((a, b) => a + b, 0) / 3;
    expect(found.get('report:lwf')?.[0]).toBeCloseTo(mean, 5);
    expect(found.get('report:loss')?.[0]).toBeCloseTo(2 * mean, 5);
  });

  it('lets new classes compete with each other, and old ones with all', async () => {
    const { classify } = OBJECTIVES;
    const found = await one({
      ...amongNew(classify, 1),
      targets: () => [{ name: 'labels', dtype: 'int64', shape: [] }],
    });
    const logits = rows(W, 3);
    const losses = [2, 0, 2].map((label, n) => {
      const all = logits[n] as number[];
      const among = label >= 1 ? all.slice(1) : all;
      return -Math.log(softmax(among)[label >= 1 ? label - 1 : label] as number);
    });
    const mean = losses.reduce((a, b) => a + b, 0) / 3;
    expect(found.get('report:loss')?.[0]).toBeCloseTo(mean, 5);
  });
});

describe('more classes', () => {
  it.each([
    ['Gemm', 'float[2, 3] W', 'y = Gemm(x, W, b)'],
    ['a transposed Gemm', 'float[3, 2] W', 'y = Gemm<transB = 1>(x, W, b)'],
    ['MatMul and Add', 'float[2, 3] W', 'z = MatMul(x, W)\n  y = Add(z, b)'],
  ])('leave the logits of old ones as they were: %s', async (_, weight, nodes) => {
    const model = parseModel(`
g (float[3, 2] x) => (float[3, 3] y)
<${weight} = random, float[3] b = {1, -2, 0.5}>
{
  ${nodes}
}`);
    inferTypes(model);
    const logits = async () => {
      const session = await loadModel(model);
      const results = await session.run(new Map([['x', floats([3, 2], X)]]));
      await session.dispose();
      return results.get('y') as Tensor;
    };
    const before = (await logits()).numbers();
    setClasses(model, 5, true, 1);
    const after = await logits();
    expect(after.shape).toEqual([3, 5]);
    const old = after.numbers().filter((__, i) => i % 5 < 3);
    expect(old).toEqual(before);
  });
});
