// Known networks, built from their papers, with weights of the right shape and no bytes.

import { expect } from '@jest/globals';
import { Builder, type Dim, Graph, Model, tensorType, type Value } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { byteLengthOf, type DType, elementCount } from '../../src/tensor/dtype.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

/** A weight without bytes: costs never read them. */
export function weight(dtype: DType, shape: readonly number[]): Tensor {
  const byteLength = byteLengthOf(dtype, elementCount(shape));
  return new Tensor(dtype, shape, { byteLength, read: (_, length) => new Uint8Array(length) });
}

export class Network {
  readonly g = new Builder(new Graph('network'));
  x: Value;

  constructor(...shape: Dim[]) {
    this.x = this.g.input('x', tensorType('float32', shape));
  }

  constant(...shape: number[]): Value {
    return this.g.constant('w', weight('float32', shape));
  }

  conv(from: number, to: number, kernel: number, stride = 1, bias = false): this {
    const pad = (kernel - 1) >> 1;
    const inputs = [this.x, this.constant(to, from, kernel, kernel)];
    if (bias) inputs.push(this.constant(to));
    const pads = [pad, pad, pad, pad];
    this.x = this.g.op('Conv', inputs, { strides: [stride, stride], pads });
    return this;
  }

  norm(channels: number): this {
    const parameters = Array.from({ length: 4 }, () => this.constant(channels));
    this.x = this.g.op('BatchNormalization', [this.x, ...parameters]);
    return this;
  }

  pool(kernel: number, stride: number, pad = 0): this {
    const attrs = { kernel_shape: [kernel, kernel], strides: [stride, stride] };
    this.x = this.g.op('MaxPool', [this.x], { ...attrs, pads: [pad, pad, pad, pad] });
    return this;
  }

  relu(): this {
    this.x = this.g.op('Relu', [this.x]);
    return this;
  }

  dense(from: number, to: number): this {
    const inputs = [this.x, this.constant(to, from), this.constant(to)];
    this.x = this.g.op('Gemm', inputs, { transB: 1 });
    return this;
  }

  flatten(): this {
    this.x = this.g.op('Flatten', [this.x]);
    return this;
  }

  model(): Model {
    this.g.output(this.x, 'y');
    const model = new Model(this.g.graph, new Map([['', 17]]));
    expect(inferTypes(model)).toEqual([]);
    return model;
  }
}

/** He et al., arXiv:1512.03385, as torchvision builds it (the stride in the 3 x 3 convolution). */
export function resnet50(): Model {
  const net = new Network(1, 3, 224, 224);
  net.conv(3, 64, 7, 2).norm(64).relu().pool(3, 2, 1);
  let from = 64;
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const width = 64 << stage;
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const shortcut = net.x;
      net.conv(from, width, 1).norm(width).relu();
      net.conv(width, width, 3, stride).norm(width).relu();
      const main = net.conv(width, 4 * width, 1).norm(4 * width).x;
      net.x = shortcut;
      if (block === 0) net.conv(from, 4 * width, 1, stride).norm(4 * width);
      net.x = net.g.op('Add', [main, net.x]);
      net.relu();
      from = 4 * width;
    }
  }
  net.x = net.g.op('GlobalAveragePool', [net.x]);
  return net.flatten().dense(2048, 1000).model();
}

/** Simonyan and Zisserman, arXiv:1409.1556, configuration D. */
export function vgg16(): Model {
  const net = new Network(1, 3, 224, 224);
  let from = 3;
  for (const [width, layers] of [
    [64, 2],
    [128, 2],
    [256, 3],
    [512, 3],
    [512, 3],
  ] as const) {
    for (let i = 0; i < layers; i++) {
      net.conv(from, width, 3, 1, true).relu();
      from = width;
    }
    net.pool(2, 2);
  }
  return net.flatten().dense(25088, 4096).relu().dense(4096, 4096).relu().dense(4096, 1000).model();
}
