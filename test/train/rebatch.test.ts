import { describe, expect, it } from '@jest/globals';
import type { Model } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { setBatch } from '../../src/train/rebatch.ts';
import { parseModel } from '../helpers/parse.ts';

const header = '<ir_version: 10, opset_import: ["" : 21]>';

async function run(model: Model, shape: readonly number[], values: readonly number[]) {
  const session = await loadModel(model);
  const found = await session.run(new Map([['x', Tensor.of('float32', shape, values)]]));
  await session.dispose();
  return [...(found.get('y') as Tensor).numbers()];
}

const MODELS = {
  'a flattening Reshape': [
    [2, 2],
    `g (float[1, 2, 2] x) => (float[1, 2] y)
     <int64[2] s = {1, 4}, float[4, 2] W = {1, 2, 3, 4, 5, 6, 7, 8}>
     { f = Reshape(x, s) y = MatMul(f, W) }`,
  ],
  'a class token in front of a sequence': [
    [2, 2],
    `g (float[1, 2, 2] x) => (float[1, 3, 2] y) <float[1, 1, 2] token = {7, 8}>
     { y = Concat <axis = 1> (token, x) }`,
  ],
  'padding made for one sample, axes from the end': [
    [2],
    `g (float[1, 2] x) => (float[1, 4] y) <int64[2] s = {1, 2}>
     { z = ConstantOfShape(s) y = Concat <axis = -1> (x, z) }`,
  ],
  'the first state of a recurrent layer': [
    [3, 1],
    `g (float[1, 3, 1] x) => (float[3, 1, 1, 1] y)
     <float[1, 1, 1] W = {0.5}, float[1, 1, 1] R = {0.3}, float[1, 1, 1] h = {0.7}>
     { t = Transpose <perm = [1, 0, 2]> (x) y, last = RNN <hidden_size = 1> (t, W, R, , , h) }`,
  ],
} as const;

describe('another size of the batch', () => {
  it.each(Object.entries(MODELS))('%s', async (_, [sample, text]) => {
    const size = sample.reduce((a: number, b: number) => a * b, 1);
    const values = Array.from({ length: 3 * size }, (_, i) => Math.sin(i + 1));
    const single = parseModel(`${header} ${text}`);
    const alone = await Promise.all(
      [0, 1, 2].map((i) => run(single, [1, ...sample], values.slice(i * size, (i + 1) * size))),
    );
    const model = parseModel(`${header} ${text}`);
    inferTypes(model);
    setBatch(model, 3);
    const together = await run(model, [3, ...sample], values);
    // Recurrent layers have time in front of the batch.
    const isTime = text.includes('RNN');
    const expected = isTime
      ? [0, 1, 2].flatMap((t) => alone.map((one) => one[t] as number))
      : alone.flat();
    expect(together).toHaveLength(expected.length);
    for (const [i, value] of together.entries()) {
      expect(value).toBeCloseTo(expected[i] as number, 6);
    }
  });

  it('is left alone where it is what it was', () => {
    const text = MODELS['a class token in front of a sequence'][1];
    const model = parseModel(`${header} ${text}`);
    inferTypes(model);
    setBatch(model, 1);
    expect([...model.graph.nodes].map(({ op }) => op)).toEqual(['Concat']);
  });

  it('names the node that takes the batch for something else', () => {
    const model =
      parseModel(`${header} g (float[1, 4, 2] x) => (float[2, 4] y) <int64[2] s = {2, 4}>
      { y = Reshape(x, s) }`);
    inferTypes(model);
    const made = {
      code: 'batch-fixed',
      hint: 'Give --batch 1, and --accumulate 8 for updates of more samples.',
    };
    expect(() => setBatch(model, 8)).toThrow(expect.objectContaining(made));
  });
});
