import { describe, expect, it } from '@jest/globals';
import { StagedData } from '../../src/calibrate/staged.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { parseModel } from '../helpers/parse.ts';

const model = parseModel(`
g (float[n, 3] x, int64[n] i) => (float[n, 2] y, float[n, 3] a)
<float[3, 3] v = random, float[3, 2] w = random, float[5, 3] t = random>
{
  a = MatMul(x, v)
  b = Relu(a)
  e = Gather(t, i)
  c = Add(b, e)
  y = MatMul(c, w)
}`);

inferTypes(model);

const batches: Feeds[] = [0, 1, 2].map((k) => {
  const x = Float32Array.from({ length: 6 }, (_, j) => Math.sin(j + 7 * k));
  return new Map([
    ['x', Tensor.of('float32', [2, 3], x)],
    ['i', Tensor.int64([k, 4 - k])],
  ]);
});

async function* all() {
  yield* batches;
}

describe('data seen in stages', () => {
  it('shows what the whole model gives, batch by batch, from kept values', async () => {
    const data = new StagedData(all, {});
    const whole = await Promise.all(
      batches.map((feeds) => createRunner()(model, feeds, ['c', 'y'])),
    );
    await data.advance(model, ['b', 'i']);
    await data.advance(model, ['c']);
    // What came before c is not asked for any more.
    const seen: number[][] = [];
    await data.observe(model, ['c', 'y'], (name, tensor, batch) => {
      const wanted = whole[batch]?.get(name)?.numbers() ?? [];
      tensor.numbers().forEach((value, k) => {
        expect(value).toBeCloseTo(wanted[k] as number, 5);
      });
      seen.push([batch, wanted.length]);
    });
    expect(seen).toEqual(
      [0, 1, 2].flatMap((batch) => [
        [batch, 6],
        [batch, 4],
      ]),
    );
    data.dispose();
  });

  it('goes on with weights as they are when it goes on', async () => {
    const data = new StagedData(all, {});
    const copy = model.clone();
    const v = [...copy.graph.initializers].find(({ name }) => name === 'v');
    if (v) copy.graph.setData(v, Tensor.of('float32', [3, 3], new Float32Array(9)));
    await data.advance(copy, ['a', 'i']);
    let count = 0;
    await data.observe(model, ['b'], (_, tensor) => {
      count += 1;
      expect(tensor.numbers()).toEqual([0, 0, 0, 0, 0, 0]);
    });
    expect(count).toBe(3);
    data.dispose();
  });
});
