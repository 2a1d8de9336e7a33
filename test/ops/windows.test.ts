// Sliding windows and resampling, over many shapes: what onnxruntime returns is the measure.

import { describe, test } from '@jest/globals';
import { attr } from '../../src/graph/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { type Case, constant, expectSameTypes, fed, float } from './one-node.ts';

const AUTO_PADS = ['NOTSET', 'NOTSET', 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'];

/** Sizes, kernels, strides and pads as networks have them, and odder ones. */
function window(random: Random) {
  const kernel = [1 + random.integer(4), 1 + random.integer(4)];
  const autoPad = AUTO_PADS[random.integer(AUTO_PADS.length)] as string;
  const pads = [...kernel, ...kernel].map((k) => random.integer(k));
  return {
    size: [9 + random.integer(8), 9 + random.integer(8)] as [number, number],
    attrs: {
      kernel_shape: kernel,
      strides: [1 + random.integer(4), 1 + random.integer(4)],
      ...(autoPad === 'NOTSET' ? { pads } : { auto_pad: autoPad }),
    },
    dilations: autoPad.startsWith('SAME') ? [1, 1] : [1 + random.integer(2), 1 + random.integer(2)],
    kernel: kernel as [number, number],
  };
}

function pools(count: number): Case[] {
  const random = new Random(7, 'pools');
  return Array.from({ length: count }, (_, i) => {
    const { size, attrs, dilations } = window(random);
    const op = ['MaxPool', 'AveragePool', 'LpPool'][i % 3] as string;
    return {
      op,
      opset: op === 'LpPool' ? 18 : 19,
      inputs: [float(2, 3, ...size)],
      attrs: { ...attrs, dilations, ceil_mode: random.integer(2) },
      ...(op === 'MaxPool' ? { outputs: [true, true] } : {}),
    };
  });
}

function convolutions(count: number): Case[] {
  const random = new Random(8, 'convolutions');
  return Array.from({ length: count }, (_, i) => {
    const { size, attrs, dilations, kernel } = window(random);
    const group = 1 + random.integer(2);
    const strides = attrs.strides as [number, number];
    const isTransposed = i % 2 === 1;
    const extra = strides.map((stride) => random.integer(stride));
    return {
      op: isTransposed ? 'ConvTranspose' : 'Conv',
      inputs: [
        float(2, 4, ...size),
        isTransposed ? float(4, 3, ...kernel) : float(6, 4 / group, ...kernel),
      ],
      attrs: { ...attrs, group, dilations, ...(isTransposed ? { output_padding: extra } : {}) },
    };
  });
}

const scales = (...values: number[]) => constant('float32', [values.length], ...values);
const sizes = (...values: number[]) => constant('int64', [values.length], ...values);

const RESIZES: readonly Case[] = [
  { op: 'Resize', opset: 10, inputs: [float(1, 3, 7, 9), scales(1, 1, 2, 1.5)] },
  { op: 'Resize', inputs: [float(1, 3, 7, 9), undefined, scales(1, 1, 0.6, 0.8)] },
  { op: 'Resize', inputs: [float(1, 3, 7, 5), undefined, scales(1, 1, 0.4, 0.2)] },
  { op: 'Resize', inputs: [float(1, 3, 7, 9), undefined, undefined, sizes(1, 3, 5, 6)] },
  {
    op: 'Resize',
    opset: 18,
    inputs: [float(1, 3, 7, 9), undefined, undefined, sizes(14, 12)],
    attrs: { axes: [2, 3], keep_aspect_ratio_policy: 'not_larger', mode: 'linear' },
  },
  {
    op: 'Resize',
    opset: 18,
    inputs: [float(1, 3, 7, 9), undefined, undefined, sizes(14, 12)],
    attrs: { axes: [2, 3], keep_aspect_ratio_policy: 'not_smaller', mode: 'linear' },
  },
  {
    op: 'Resize',
    opset: 19,
    inputs: [float(1, 3, 7, 9), undefined, scales(2)],
    attrs: { axes: [-1], mode: 'linear' },
  },
  { op: 'Upsample', opset: 9, inputs: [float(1, 3, 7, 9), scales(1, 1, 2, 3)] },
  {
    op: 'Upsample',
    opset: 8,
    inputs: [float(1, 3, 7, 9)],
    attrs: { scales: attr.floats([1, 1, 2, 2.5]) },
  },
];

const OTHERS: readonly Case[] = [
  {
    op: 'ConvTranspose',
    inputs: [float(1, 3, 5, 5), float(3, 2, 3, 3)],
    attrs: { output_shape: [10, 11], strides: [2, 2] },
  },
  {
    op: 'MaxUnpool',
    inputs: [float(1, 1, 2, 2), constant('int64', [1, 1, 2, 2], 0, 3, 8, 11)],
    attrs: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  {
    op: 'MaxRoiPool',
    inputs: [float(1, 3, 8, 8), constant('float32', [2, 5], 0, 0, 0, 4, 4, 0, 1, 1, 6, 6)],
    attrs: { pooled_shape: [2, 3] },
  },
  {
    op: 'ConvInteger',
    inputs: [fed('uint8', 1, 3, 8, 8), fed('uint8', 4, 3, 3, 3)],
    attrs: { auto_pad: 'SAME_UPPER', strides: [3, 2] },
  },
  { op: 'GlobalLpPool', inputs: [float(2, 3, 4, 5, 6)] },
];

const rows = (cases: readonly Case[]) => cases.map((item, i) => [`${item.op} ${i}`, item] as const);

describe('window and resampling shapes are those of onnxruntime', () => {
  test.each(rows(pools(60)))('%s', async (_, item) => expectSameTypes(item));
  test.each(rows(convolutions(60)))('%s', async (_, item) => expectSameTypes(item));
  test.each(rows(RESIZES))('%s', async (_, item) => expectSameTypes(item));
  test.each(rows(OTHERS))('%s', async (_, item) => expectSameTypes(item));
});
