import { expect, it } from '@jest/globals';
import { Builder, Graph, Model, symbol, tensorType } from '../../src/graph/index.ts';
import { groupBySize, observableValues, observe } from '../../src/runtime/observe.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

/** x, x + 1, x + 2, … */
function ladder(steps: number): Model {
  const graph = new Graph('ladder');
  const g = new Builder(graph);
  const one = g.constant('one', Tensor.of('float32', [1], [1]));
  let value = g.input('x', tensorType('float32', [symbol('n')]));
  for (let i = 1; i <= steps; i++) value = g.op('Add', [value, one], {}, { name: `step${i}` });
  g.output(value, 'y');
  return new Model(graph, new Map([['', 17]]), 8);
}

const feeds = [1, 10].map(
  (start) => new Map([['x', Tensor.of('float32', [4], new Float32Array(4).fill(start))]]),
);

it.each([16, 40, 1e6])('shows every value of every sample within %d bytes', async (budget) => {
  const model = ladder(5);
  const names = observableValues(model);
  expect(names).toHaveLength(5);
  const seen: string[] = [];
  await observe(
    model,
    feeds,
    names,
    (name, tensor, sample) => {
      expect(new Set(tensor.numbers()).size).toBe(1);
      seen.push(`${name} ${sample} ${tensor.numbers()[0]}`);
    },
    { budget },
  );
  const expected = names.flatMap((name, i) => [`${name} 0 ${i + 2}`, `${name} 1 ${i + 11}`]);
  expect([...seen].sort()).toEqual(expected.sort());
});

it('fills groups up to the budget and keeps the order', () => {
  const sizes = new Map([
    ['a', 6],
    ['b', 4],
    ['c', 1],
    ['d', 20],
    ['e', 1],
  ]);
  expect(groupBySize(['a', 'b', 'c', 'd', 'e'], sizes, 10)).toEqual([
    ['a', 'b'],
    ['c'],
    ['d'],
    ['e'],
  ]);
});

it('takes samples from a stream, again for each group', async () => {
  let streams = 0;
  const stream = async function* () {
    streams += 1;
    yield* feeds;
  };
  let visits = 0;
  await observe(ladder(3), stream, ['y'], () => {
    visits += 1;
  });
  expect(visits).toBe(2);
  expect(streams).toBe(2); // One look at the shapes, one run.
});
