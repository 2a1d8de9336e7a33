// Losses, and the optimizer steps of ai.onnx.preview.training.

import type { Shape } from '../graph/index.ts';
import type { InferContext } from './context.ts';
import { define, type Inferred, type OpSpec, tensor } from './op.ts';
import { inputCost } from './pool.ts';

/** One loss per label without a reduction, else one in all. */
function lossShape(c: InferContext): Shape | undefined {
  if (c.node.string('reduction', 'mean') !== 'none') return [];
  const [scores, labels] = [c.shape(0), c.shape(1)];
  return labels ?? (scores && [...scores.slice(0, 1), ...scores.slice(2)]);
}

/**
 * Inputs: rate, step, then groups of `count` tensors (parameters, gradients, state …); outputs: the
 * groups without the gradients.
 */
function optimizer(op: string, groups: number): OpSpec {
  return {
    op,
    domain: 'ai.onnx.preview.training',
    infer(c) {
      const count = (c.inputCount - 2) / groups;
      const kept = [0, ...Array.from({ length: groups - 2 }, (_, i) => i + 2)];
      const indices = kept.flatMap((group) =>
        Array.from({ length: count }, (_, i) => 2 + group * count + i),
      );
      return indices.map((i): Inferred => ({ type: c.type(i) }));
    },
  };
}

define(
  {
    op: 'SoftmaxCrossEntropyLoss',
    infer: (c) => [tensor(c.dtype(0), lossShape(c)), tensor(c.dtype(0), c.shape(0))],
    cost: inputCost,
  },
  {
    op: 'NegativeLogLikelihoodLoss',
    infer: (c) => [tensor(c.dtype(0), lossShape(c))],
    cost: inputCost,
  },
  optimizer('Adagrad', 3),
  optimizer('Momentum', 3),
  optimizer('Adam', 4),
  {
    // Output i is the derivative by input i, and has its type.
    op: 'Gradient',
    domain: 'ai.onnx.preview.training',
    infer: (c) => c.node.outputs.map((_, i) => ({ type: c.type(i) })),
  },
);
