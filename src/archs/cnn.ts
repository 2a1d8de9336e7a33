// A small convolutional network: stages of 3x3 convolution, BatchNormalization, ReLU and 2x2 pooling
// that double the channels, then two dense layers.

import { usageProblem } from '../errors/usage.ts';
import { architecture, imageOf, single } from './architecture.ts';
import { batchNorm, conv, dense } from './blocks.ts';
import { kaimingNormal, xavierUniform } from './initialize.ts';
import { Net } from './net.ts';

export const cnn = architecture({
  name: 'cnn',
  summary: 'small convolutional network for small images',
  defaults: { in: [1, 28, 28], classes: 10, width: 32, layers: 2, hidden: [128] },
  build(choices, seed) {
    const { classes, layers } = choices;
    const [channels, height, width] = imageOf(choices.in);
    const hidden = single('hidden', choices.hidden);
    const rows = Math.floor(height / 2 ** layers);
    const columns = Math.floor(width / 2 ** layers);
    if (rows * columns === 0) {
      throw usageProblem(
        `${layers} layers halve ${height} x ${width} to nothing`,
        'Give fewer --layers or a larger --in.',
      );
    }
    const net = new Net('cnn', seed);
    let x = net.input('input', 'float32', ['batch', channels, height, width]);
    let inputs = channels;
    for (let i = 0; i < layers; i++) {
      const outputs = Math.round(choices.width) * 2 ** i;
      x = conv(net, x, `features.${i}.conv`, { inputs, outputs, kernel: 3 });
      x = batchNorm(net, x, `features.${i}.bn`, outputs);
      x = net.op(`features.${i}`, 'Relu', [x]);
      x = net.op(`features.${i}`, 'MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
      inputs = outputs;
    }
    x = net.op('', 'Flatten', [x], { axis: 1 });
    const first = { inputs: inputs * rows * columns, outputs: hidden };
    x = dense(net, x, 'classifier.0', first, { weight: kaimingNormal('in') });
    x = net.op('classifier.1', 'Relu', [x]);
    const last = { inputs: hidden, outputs: classes };
    x = dense(net, x, 'classifier.2', last, { weight: xavierUniform });
    net.output(x, 'logits', ['batch', classes]);
    return net.finish();
  },
});
