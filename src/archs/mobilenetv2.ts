// MobileNetV2 (Sandler et al. 2018): inverted residuals with depthwise convolutions and linear
// bottlenecks. Names of weights are torchvision's.

import type { Value } from '../graph/index.ts';
import { architecture, imageOf } from './architecture.ts';
import { batchNorm, type ConvSizes, conv, dense, globalPool } from './blocks.ts';
import { normal } from './initialize.ts';
import { Net } from './net.ts';

/** Table 2 of the paper: expansion, channels, blocks, stride of the first block. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;
const STEM_CHANNELS = 32;
const LAST_CHANNELS = 1280;

/** The nearest multiple of 8 that is not below 90 % of what was asked for. */
function toMultipleOf8(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

export const mobilenetv2 = architecture({
  name: 'mobilenetv2',
  summary: 'network of depthwise convolutions for images on small devices',
  defaults: { in: [3, 224, 224], classes: 1000, width: 1 },
  build({ in: size, classes, width: factor }, seed) {
    const [channels, height, width] = imageOf(size);
    const net = new Net('mobilenetv2', seed);
    let x = net.input('input', 'float32', ['batch', channels, height, width]);
    let inputs = toMultipleOf8(STEM_CHANNELS * factor);
    const stem = { inputs: channels, outputs: inputs, kernel: 3, stride: 2 };
    x = convBnRelu6(net, x, 'features.0', stem);
    let index = 1;
    for (const [expansion, base, count, stride] of STAGES) {
      const outputs = toMultipleOf8(base * factor);
      for (let i = 0; i < count; i++) {
        const sizes = { inputs, outputs, expansion, stride: i === 0 ? stride : 1 };
        x = invertedResidual(net, x, `features.${index}`, sizes);
        inputs = outputs;
        index += 1;
      }
    }
    const last = toMultipleOf8(LAST_CHANNELS * Math.max(1, factor));
    x = convBnRelu6(net, x, `features.${index}`, { inputs, outputs: last, kernel: 1 });
    const start = { weight: normal(0.01) };
    const pooled = globalPool(net, x, 'avgpool');
    x = dense(net, pooled, 'classifier.1', { inputs: last, outputs: classes }, start);
    net.output(x, 'logits', ['batch', classes]);
    return net.finish();
  },
});

function convBnRelu6(net: Net, x: Value, name: string, sizes: ConvSizes): Value {
  const y = batchNorm(net, conv(net, x, `${name}.0`, sizes), `${name}.1`, sizes.outputs);
  return net.op(`${name}.2`, 'Clip', [y, net.scalar(0), net.scalar(6)]);
}

interface BlockSizes {
  readonly inputs: number;
  readonly outputs: number;
  readonly expansion: number;
  readonly stride: number;
}

/** 1x1 to more channels, 3x3 depthwise, 1x1 back without an activation. */
function invertedResidual(net: Net, x: Value, name: string, sizes: BlockSizes): Value {
  const { inputs, outputs, expansion, stride } = sizes;
  const inner = inputs * expansion;
  let y = x;
  let part = 0;
  if (expansion !== 1) {
    y = convBnRelu6(net, y, `${name}.conv.${part}`, { inputs, outputs: inner, kernel: 1 });
    part += 1;
  }
  const depthwise = { inputs: inner, outputs: inner, kernel: 3, stride, groups: inner };
  y = convBnRelu6(net, y, `${name}.conv.${part}`, depthwise);
  y = conv(net, y, `${name}.conv.${part + 1}`, { inputs: inner, outputs, kernel: 1 });
  y = batchNorm(net, y, `${name}.conv.${part + 2}`, outputs);
  return stride === 1 && inputs === outputs ? net.op(name, 'Add', [x, y]) : y;
}
