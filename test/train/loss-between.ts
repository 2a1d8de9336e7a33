// What a loss between inner tensors is for given ones, as onnxruntime computes it.

import { Graph, Model, tensorType, Value } from '../../src/graph/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { FeatureLoss } from '../../src/train/distillation.ts';
import { Formula } from '../../src/train/formula.ts';

const run = createRunner();

export async function lossBetween(loss: FeatureLoss, s: Tensor, t: Tensor): Promise<number> {
  const model = new Model(new Graph('test'), new Map([['', 21]]), 10);
  const [a, b] = [s, t].map(({ shape }, i) => new Value(`x${i}`, tensorType('float32', shape)));
  if (!a || !b) throw new Error('no inputs');
  model.graph.inputs = [a, b];
  const result = loss(new Formula(model), a, b);
  model.graph.outputs = [result];
  const feeds = new Map([
    ['x0', s],
    ['x1', t],
  ]);
  return (await run(model, feeds)).get(result.name)?.numbers()[0] ?? Number.NaN;
}
