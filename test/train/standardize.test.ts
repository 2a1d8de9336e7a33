// Mean and deviation of data, and the steps around a model that take them out and put them back.

import { describe, expect, it } from '@jest/globals';
import type { Dataset } from '../../src/data/dataset.ts';
import { type Moments, momentsOf } from '../../src/data/moments.ts';
import type { Value } from '../../src/graph/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { parametersOf } from '../../src/train/parameters.ts';
import { standardizeInput, standardizeOutput } from '../../src/train/standardize.ts';
import { parseModel } from '../helpers/parse.ts';

const ROWS = 50;
const random = new Random(1, 'standardize');
/** Far from 0, of different widths, and one that never changes. */
const rows = Array.from({ length: ROWS }, () => [
  1e6 + random.normal(),
  20 * random.normal() - 3,
  7,
]);
const column = (i: number) => rows.map((row) => row[i] as number);
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const deviation = (values: number[]) =>
  Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));

const dataset: Dataset = {
  summary: '',
  length: ROWS,
  async *batches() {
    for (let at = 0; at < ROWS; at += 20) {
      const part = rows.slice(at, at + 20);
      const count = part.length;
      const x = Tensor.of('float64', [count, 3], part.flat());
      const y = Tensor.of('float64', [count], column(1).slice(at, at + 20));
      yield { feeds: new Map([['x', x]]), targets: new Map([['y', y]]), count };
    }
  },
};

describe('moments', () => {
  it('are those of each column over all batches', async () => {
    const found = await momentsOf(dataset);
    const x = found.inputs.get('x') as Moments;
    for (const i of [0, 1]) {
      expect(x.mean[i]).toBeCloseTo(mean(column(i)), 8);
      expect(x.deviation[i]).toBeCloseTo(deviation(column(i)), 8);
    }
    expect([x.mean[2], x.deviation[2]]).toEqual([7, 1]);
    const y = found.targets.get('y') as Moments;
    expect([...y.mean]).toEqual([expect.closeTo(mean(column(1)), 8)]);
  });
});

const moments = (of: number[], by: number[]) => ({
  mean: Float64Array.from(of),
  deviation: Float64Array.from(by),
});

describe('standardised models', () => {
  const model = () =>
    parseModel(`
g (float[2, 3] x) => (float[2, 2] y) < float[3, 2] W = random, float[2] b = random > {
  p = MatMul(x, W)
  y = Add(p, b)
}`);

  it('take and give numbers as the data has them', async () => {
    const [inner, outer] = [model(), model()];
    standardizeInput(outer, outer.graph.inputs[0] as Value, moments([1, -2, 3], [2, 4, 0.5]));
    standardizeOutput(outer, outer.graph.outputs[0] as Value, moments([10, -20], [3, 7]));
    expect(outer.graph.outputs.map(({ name }) => name)).toEqual(['y']);
    const z = [0.5, -1, 2, 0.25, 1, -0.75];
    const [of, by] = [
      [1, -2, 3],
      [2, 4, 0.5],
    ];
    const x = z.map((value, i) => value * (by[i % 3] as number) + (of[i % 3] as number));
    const run = createRunner();
    const on = async (graph: typeof outer, values: number[]) => {
      const found = await run(graph, new Map([['x', Tensor.of('float32', [2, 3], values)]]));
      return found.get('y')?.numbers() ?? [];
    };
    const expected = (await on(inner, z)).map((y, i) => (i % 2 ? 7 * y - 20 : 3 * y + 10));
    const found = await on(outer, x);
    found.forEach((y, i) => {
      expect(y).toBeCloseTo(expected[i] as number, 4);
    });
  });

  it('are trained without what they know of the data', () => {
    const outer = model();
    standardizeInput(outer, outer.graph.inputs[0] as Value, moments([1, 1, 1], [2, 2, 2]));
    const { trained, fixed } = parametersOf(outer);
    expect(trained.map(({ name }) => name)).toEqual(['W', 'b']);
    expect([...fixed.values()]).toEqual(['a statistic of the data', 'a statistic of the data']);
  });
});
