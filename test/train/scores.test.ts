import { expect, it } from '@jest/globals';
import { inferTypes } from '../../src/ops/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { writeScores } from '../../src/train/scores.ts';
import { parseModel } from '../helpers/parse.ts';

it('scores a model that is sure of itself as one that is not', async () => {
  const scoresOf = async (factor: number) => {
    const model = parseModel(`
<ir_version: 10, opset_import: ["" : 21]>
g (float[4, 3] x) => (float[4, 5] y) <float[3, 5] w = random, float f = {${factor}}>
{ z = MatMul(x, w) y = Mul(z, f) }`);
    inferTypes(model);
    const graph = writeScores(model, { weights: ['w'], withLabels: false });
    const x = Float32Array.from({ length: 12 }, (_, i) => Math.cos(3 * i));
    const feeds = new Map([['x', Tensor.of('float32', [4, 3], x)]]);
    const gradients = (await createRunner()(graph.model, feeds)).get(
      graph.gradients.get('w') as string,
    );
    return gradients?.numbers() ?? [];
  };
  // Sure to a part in e^-1000, where the plain loss is flat; spreads are rounded up to whole numbers.
  const [plain, sure] = [await scoresOf(40), await scoresOf(4000)];
  const length = (v: readonly number[]) => Math.hypot(...v);
  const product = plain.reduce((sum, value, i) => sum + value * (sure[i] as number), 0);
  expect(length(sure)).toBeGreaterThan(0.1);
  expect(product / (length(plain) * length(sure))).toBeGreaterThan(0.99);
});
