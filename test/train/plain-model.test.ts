import { describe, expect, it } from '@jest/globals';
import { plainModel } from '../../src/cli/train/prepare.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { parseModel } from '../helpers/parse.ts';

const header = '<ir_version: 10, opset_import: ["" : 21]>';
const image = (size: number) =>
  new Map([['x', Tensor.of('float32', [1, 1, size, size], new Float32Array(size * size))]]);

describe('the plain model of a training run', () => {
  it('takes open sizes from the data', async () => {
    const model = parseModel(`${header} g (float[n, 1, h, w] x) => (float[n, 1, p, q] y)
      { y = MaxPool <kernel_shape = [4, 4]> (x) }`);
    const plain = await plainModel(model, 3, image(6));
    expect(plain.graph.outputs[0]?.shape).toEqual([3, 1, 3, 3]);
  });

  it('says what data of this size cannot go through', async () => {
    const model = parseModel(`${header} g (float[n, 1, h, w] x) => (float[n, 1, p, q] y)
      { y = MaxPool <kernel_shape = [4, 4]> (x) }`);
    await expect(plainModel(model, 3, image(2))).rejects.toMatchObject({
      code: 'output-size-open',
      message: expect.stringMatching(
        /"y" .* MaxPool needs at least 4 elements along spatial axis 0/,
      ),
    });
  });

  it('learns the scores of a classifier that gives labels first', async () => {
    const model = parseModel(`${header} g (float[n, 2] x) => (int64[n] label, float[n, 2] scores)
      { scores = Softmax(x) label = ArgMax <axis = 1, keepdims = 0> (scores) }`);
    const sample = new Map([['x', Tensor.of('float32', [1, 2], [1, 2])]]);
    const plain = await plainModel(model, 4, sample);
    expect(plain.graph.outputs.map(({ name }) => name)).toEqual(['scores', 'label']);
  });

  it('refuses a model without an output that gradients could come from', async () => {
    const model = parseModel(`${header} g (float[n, 2] x) => (int64[n] label)
      { label = ArgMax <axis = 1, keepdims = 0> (x) }`);
    const sample = new Map([['x', Tensor.of('float32', [1, 2], [1, 2])]]);
    await expect(plainModel(model, 4, sample)).rejects.toMatchObject({ code: 'no-float-output' });
  });
});
