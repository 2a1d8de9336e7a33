// Residual networks (He et al. 2015), with the stride of a bottleneck in its 3x3 convolution
// ("v1.5"). Names of weights are torchvision's.

import type { Value } from '../graph/index.ts';
import { type Architecture, architecture, imageOf } from './architecture.ts';
import { batchNorm, type ConvSizes, conv, dense, globalPool } from './blocks.ts';
import { uniform } from './initialize.ts';
import { Net } from './net.ts';

interface Block {
  /** Output channels by channels of the inner convolutions. */
  readonly expansion: number;
  branch(net: Net, x: Value, name: string, inputs: number, width: number, stride: number): Value;
}

/** Two 3x3 convolutions. */
const BASIC: Block = {
  expansion: 1,
  branch(net, x, name, inputs, width, stride) {
    const first = { inputs, outputs: width, kernel: 3, stride };
    const y = net.op(name, 'Relu', [convBn(net, x, `${name}.conv1`, `${name}.bn1`, first)]);
    const second = { inputs: width, outputs: width, kernel: 3 };
    return convBn(net, y, `${name}.conv2`, `${name}.bn2`, second);
  },
};

/** 1x1 to fewer channels, 3x3 there, 1x1 back. */
const BOTTLENECK: Block = {
  expansion: 4,
  branch(net, x, name, inputs, width, stride) {
    const reduce = { inputs, outputs: width, kernel: 1 };
    let y = net.op(name, 'Relu', [convBn(net, x, `${name}.conv1`, `${name}.bn1`, reduce)]);
    const spatial = { inputs: width, outputs: width, kernel: 3, stride };
    y = net.op(name, 'Relu', [convBn(net, y, `${name}.conv2`, `${name}.bn2`, spatial)]);
    const expand = { inputs: width, outputs: width * 4, kernel: 1 };
    return convBn(net, y, `${name}.conv3`, `${name}.bn3`, expand);
  },
};

function convBn(net: Net, x: Value, name: string, norm: string, sizes: ConvSizes): Value {
  return batchNorm(net, conv(net, x, name, sizes), norm, sizes.outputs);
}

/** What stands before the blocks, and for which images that is. */
interface Stem {
  readonly images: string;
  readonly defaults: { in: [number, number, number]; classes: number; width: number };
  build(net: Net, x: Value, inputs: number, outputs: number): Value;
}

/** 7x7 and pooling, which quarter the sides. */
const LARGE: Stem = {
  images: 'images',
  defaults: { in: [3, 224, 224], classes: 1000, width: 64 },
  build(net, x, inputs, outputs) {
    const stem = { inputs, outputs, kernel: 7, stride: 2 };
    const y = net.op('', 'Relu', [convBn(net, x, 'conv1', 'bn1', stem)]);
    const window = { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] };
    return net.op('maxpool', 'MaxPool', [y], window);
  },
};

/** 3x3, as for CIFAR-10 (section 4.2 of the paper). */
const SMALL: Stem = {
  images: 'small images',
  defaults: { in: [3, 32, 32], classes: 10, width: 16 },
  build(net, x, inputs, outputs) {
    return net.op('', 'Relu', [convBn(net, x, 'conv1', 'bn1', { inputs, outputs, kernel: 3 })]);
  },
};

function resnet(
  depth: number,
  block: Block,
  counts: readonly number[],
  stem: Stem = LARGE,
): Architecture {
  return architecture({
    name: `resnet${depth}`,
    summary: `residual network of ${depth} layers for ${stem.images}`,
    defaults: stem.defaults,
    build({ in: size, classes, width: factor }, seed) {
      const [channels, height, width] = imageOf(size);
      const base = Math.round(factor);
      const net = new Net(`resnet${depth}`, seed);
      let x = net.input('input', 'float32', ['batch', channels, height, width]);
      x = stem.build(net, x, channels, base);
      let inputs = base;
      counts.forEach((count, stage) => {
        for (let i = 0; i < count; i++) {
          const stride = i === 0 && stage > 0 ? 2 : 1;
          const inner = base * 2 ** stage;
          x = residual(net, x, `layer${stage + 1}.${i}`, block, inputs, inner, stride);
          inputs = inner * block.expansion;
        }
      });
      const bound = uniform(1 / Math.sqrt(inputs));
      const pooled = globalPool(net, x, 'avgpool');
      const logits = dense(
        net,
        pooled,
        'fc',
        { inputs, outputs: classes },
        { weight: bound, bias: bound },
      );
      net.output(logits, 'logits', ['batch', classes]);
      return net.finish();
    },
  });
}

/** relu(branch(x) + x); a 1x1 convolution brings x to the branch's shape where that differs. */
function residual(
  net: Net,
  x: Value,
  name: string,
  block: Block,
  inputs: number,
  width: number,
  stride: number,
): Value {
  const outputs = width * block.expansion;
  const branch = block.branch(net, x, name, inputs, width, stride);
  let shortcut = x;
  if (stride !== 1 || inputs !== outputs) {
    const sizes = { inputs, outputs, kernel: 1, stride };
    shortcut = convBn(net, x, `${name}.downsample.0`, `${name}.downsample.1`, sizes);
  }
  return net.op(name, 'Relu', [net.op(name, 'Add', [branch, shortcut])]);
}

export const resnet20 = resnet(20, BASIC, [3, 3, 3], SMALL);
export const resnet18 = resnet(18, BASIC, [2, 2, 2, 2]);
export const resnet50 = resnet(50, BOTTLENECK, [3, 4, 6, 3]);
