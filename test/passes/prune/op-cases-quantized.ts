// Small graphs with integers: weights behind DequantizeLinear, and integer kernels.

import type { Value } from '../../../src/graph/index.ts';
import type { DType } from '../../../src/tensor/dtype.ts';
import { Random } from '../../../src/tensor/random.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import type { Sketch } from '../../helpers/rewriting.ts';
import { image, ms, type OpCase, project, read, tokens } from './op-cases.ts';

/** Random whole numbers. */
function integers(s: Sketch, dtype: DType, shape: readonly number[], zero = 0): Value {
  const random = new Random(shape.length, String(shape));
  const count = shape.reduce((a, b) => a * b, 1);
  const values = Array.from({ length: count }, () => zero + random.integer(40) - 20);
  return s.g.constant('q', Tensor.of(dtype, shape, values));
}

function dequantized(s: Sketch, shape: readonly number[], axis: number): Value {
  const size = shape[axis] as number;
  const zeros = s.g.constant('zero', Tensor.of('int8', [size], new Array(size).fill(0)));
  return s.g.op('DequantizeLinear', [integers(s, 'int8', shape), s.positive([size]), zeros], {
    axis,
  });
}

function passed(s: Sketch, x: Value): Value {
  const point = s.g.constant('point', Tensor.of('uint8', [], [128]));
  const scale = s.scalar(0.05);
  const q = s.g.op('QuantizeLinear', [x, scale, point]);
  return s.g.op('DequantizeLinear', [q, scale, point]);
}

/** An activation in uint8 with its scale and zero point. */
function quantizedImage(s: Sketch): [Value, Value, Value] {
  const point = s.g.constant('point', Tensor.of('uint8', [], [120]));
  const scale = s.scalar(0.05);
  return [s.g.op('QuantizeLinear', [image(s), scale, point]), scale, point];
}

const quantized: OpCase[] = [
  {
    name: 'QuantizeLinear and DequantizeLinear around weights and activations',
    units: [8, 8],
    build(s) {
      const x = s.g.op('Conv', [s.input('x', [1, 3, 6, 6]), dequantized(s, [8, 3, 3, 3], 0)]);
      const y = s.g.op('Conv', [passed(s, x), dequantized(s, [8, 8, 1, 1], 0)]);
      return read(s, passed(s, y), 8);
    },
  },
  {
    name: 'DequantizeLinear in blocks',
    units: [4],
    build(s) {
      const inputs = [integers(s, 'int8', [8, 3]), s.positive([4, 3])];
      const weight = s.g.op('DequantizeLinear', inputs, { axis: 0, block_size: 2 });
      return s.g.op('MatMul', [tokens(s), weight]);
    },
  },
  {
    name: 'QLinearConv',
    units: [8, 8],
    build(s) {
      const [x, scale, point] = quantizedImage(s);
      const zeros = s.g.constant('zeros', Tensor.of('int8', [8], new Array(8).fill(0)));
      const bias = s.g.constant('bias', Tensor.of('int32', [8], [5, -5, 5, 5, 5, 5, 5, 9]));
      const weight = integers(s, 'int8', [8, 8, 1, 1]);
      const inputs = [x, scale, point, weight, s.positive([8]), zeros, s.scalar(4), point, bias];
      const y = s.g.op('QLinearConv', inputs);
      return read(s, s.g.op('DequantizeLinear', [y, s.scalar(0.1), point]), 8);
    },
  },
  {
    name: 'ConvInteger',
    units: [8, 8],
    build(s) {
      const [x, , point] = quantizedImage(s);
      const y = s.g.op('ConvInteger', [x, integers(s, 'int8', [8, 8, 1, 1]), point]);
      return read(s, s.g.op('Cast', [y], { to: 1 }), 8);
    },
  },
  {
    name: 'MatMulInteger and QLinearMatMul',
    units: [6, 8],
    build(s) {
      const point = s.g.constant('point', Tensor.of('uint8', [], [120]));
      const scale = s.scalar(0.05);
      const x = s.g.op('QuantizeLinear', [tokens(s, 8, [3]), scale, point]);
      const zero = s.g.constant('zero', Tensor.of('int8', [], [0]));
      const weight = integers(s, 'int8', [8, 6]);
      const inputs = [x, scale, point, weight, scale, zero, s.scalar(0.4), point];
      const y = s.g.op('QLinearMatMul', inputs);
      return s.g.op('MatMulInteger', [y, integers(s, 'int8', [6, 2]), point]);
    },
  },
  {
    name: 'DynamicQuantizeLinear',
    units: [8],
    mixed: true,
    build(s) {
      const [q, scale, zero] = s.g.ops('DynamicQuantizeLinear', [tokens(s)], 3);
      const product = s.g.op('MatMulInteger', [q, integers(s, 'int8', [8, 3]), zero]);
      return s.g.op('Mul', [s.g.op('Cast', [product], { to: 1 }), scale]);
    },
  },
  {
    name: 'DynamicQuantizeMatMul',
    units: [6, 8],
    mixed: true,
    build(s) {
      const inputs = [tokens(s), integers(s, 'int8', [8, 6]), s.positive([6])];
      return project(s, s.g.op('DynamicQuantizeMatMul', inputs, {}, ms), 6);
    },
  },
  {
    name: 'MatMulIntegerToFloat',
    units: [6, 8],
    build(s) {
      const point = s.g.constant('point', Tensor.of('uint8', [], [120]));
      const x = s.g.op('QuantizeLinear', [tokens(s), s.scalar(0.05), point]);
      const inputs = [x, integers(s, 'int8', [8, 6]), s.scalar(0.05), s.positive([6]), point];
      return project(s, s.g.op('MatMulIntegerToFloat', inputs, {}, ms), 6);
    },
  },
  ...['QLinearAdd', 'QLinearMul'].map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build(s) {
        const a = quantizedImage(s);
        const y = s.g.op(op, [...a, ...a, s.scalar(0.1), a[2]], {}, ms);
        return read(s, s.g.op('DequantizeLinear', [y, s.scalar(0.1), a[2]]), 8);
      },
    }),
  ),
  ...['QLinearLeakyRelu', 'QLinearSigmoid', 'QLinearGlobalAveragePool'].map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build(s) {
        const a = quantizedImage(s);
        const attrs = op === 'QLinearGlobalAveragePool' ? { channels_last: 0 } : {};
        const y = s.g.op(op, [...a, s.scalar(0.02), a[2]], attrs, ms);
        return read(s, s.g.op('DequantizeLinear', [y, s.scalar(0.02), a[2]]), 8);
      },
    }),
  ),
  {
    name: 'QLinearAveragePool',
    units: [8],
    build(s) {
      const a = quantizedImage(s);
      const y = s.g.op(
        'QLinearAveragePool',
        [...a, s.scalar(0.05), a[2]],
        { kernel_shape: [2, 2] },
        ms,
      );
      return read(s, s.g.op('DequantizeLinear', [y, s.scalar(0.05), a[2]]), 8);
    },
  },
  {
    name: 'QLinearConcat',
    units: [8],
    build(s) {
      const a = quantizedImage(s);
      const y = s.g.op('QLinearConcat', [s.scalar(0.05), a[2], ...a, ...a], { axis: 1 }, ms);
      return read(s, s.g.op('DequantizeLinear', [y, s.scalar(0.05), a[2]]), 16);
    },
  },
  {
    name: 'QuantizeLinear and DequantizeLinear of com.microsoft',
    units: [8],
    build(s) {
      const point = s.g.constant('point', Tensor.of('uint8', [], [128]));
      const inputs = [s.scalar(0.05), point];
      const q = s.g.op('QuantizeLinear', [image(s), ...inputs], {}, ms);
      return read(s, s.g.op('DequantizeLinear', [q, ...inputs], {}, ms), 8);
    },
  },
];

export const QUANTIZED_CASES: readonly OpCase[] = quantized;
