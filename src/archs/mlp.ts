// A perceptron: dense layers with ReLU between. Weights start by Kaiming's rule, the last by Xavier's.

import { elementCount } from '../tensor/dtype.ts';
import { architecture } from './architecture.ts';
import { dense } from './blocks.ts';
import { kaimingNormal, xavierUniform } from './initialize.ts';
import { Net } from './net.ts';

export const mlp = architecture({
  name: 'mlp',
  summary: 'multi-layer perceptron for vectors and small images',
  defaults: { in: [1, 28, 28], hidden: [256, 128], classes: 10 },
  build({ in: size, hidden, classes }, seed) {
    const net = new Net('mlp', seed);
    const input = net.input('input', 'float32', ['batch', ...size]);
    let x = size.length > 1 ? net.op('', 'Flatten', [input], { axis: 1 }) : input;
    let inputs = elementCount(size);
    // Modules of ReLU count, as in `nn.Sequential`: layers.0, layers.2, …
    hidden.forEach((outputs, i) => {
      const start = { weight: kaimingNormal('in') };
      x = dense(net, x, `layers.${2 * i}`, { inputs, outputs }, start);
      x = net.op(`layers.${2 * i + 1}`, 'Relu', [x]);
      inputs = outputs;
    });
    const last = `layers.${2 * hidden.length}`;
    x = dense(net, x, last, { inputs, outputs: classes }, { weight: xavierUniform });
    net.output(x, 'logits', ['batch', classes]);
    return net.finish();
  },
});
