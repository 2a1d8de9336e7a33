// Contrastive learning (SimCLR, Chen et al. 2020): NT-Xent over a batch of 2n samples, of which i and
// i + n are two views of the same; similarity is the cosine over a temperature.

import type { Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { crossEntropy, hits } from './classify.ts';
import { meanOf, type Objective } from './objective.ts';

export const contrastive: Objective = {
  summary: 'two augmented views of a sample are alike (SimCLR)',
  targets: () => [],
  build({ f, outputs, settings, real }) {
    const output = outputs[0] as Value;
    const [n = 2, ...rest] = (output.shape ?? []).map(Number);
    const z = f.reshape(output, [n, rest.reduce((a, b) => a * b, 1)]);
    const length = f.max(f.sqrt(f.sum(f.square(z), [1], true)), 1e-8);
    const unit = f.div(z, length);
    const cosines = f.op('MatMul', [unit, f.op('Transpose', [unit], { perm: [1, 0] })]);
    const itself = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? -1e9 : 0));
    const logits = f.add(
      f.div(cosines, settings.temperature),
      f.g.constant('itself', Tensor.of('float32', [n, n], itself)),
    );
    const half = n / 2;
    const partner = Array.from({ length: n }, (_, i) => (i + half) % n);
    const labels = f.ints(partner);
    return {
      loss: meanOf(f, crossEntropy(f, logits, labels), real),
      metrics: new Map([['pair_accuracy', meanOf(f, hits(f, logits, labels), real)]]),
    };
  },
};
