// Kernels on integers: products, convolutions, recurrent networks, elementwise QLinear operators,
// QuantizeLinear and DequantizeLinear. In a variant like u8s8 the first type is that of activations.

import type { Value } from '../../src/graph/index.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { type Sketch, type Trial, trial } from './sketch.ts';

const PAIRS = ['u8s8', 'u8u8', 's8s8', 's8u8'] as const;
const TYPES = { u8: 'uint8', s8: 'int8' } as const;

function typesOf(pair: string): [DType, DType] {
  const [a, b] = [pair.slice(0, 2), pair.slice(2)] as ['u8', 's8'];
  return [TYPES[a], TYPES[b]];
}

const scale = (s: Sketch) => s.weight('float32', [], 1);

function pairs(op: string, gives: DType | 'same', draw: (s: Sketch, a: DType, b: DType) => Value) {
  return PAIRS.map((pair) => {
    const [a, b] = typesOf(pair);
    return trial(`${op}:${pair}`, { gives: gives === 'same' ? a : gives }, (s) => draw(s, a, b));
  });
}

const products: Trial[] = [
  trial('DynamicQuantizeLinear', { gives: 'uint8' }, (s) => {
    return s.ops('DynamicQuantizeLinear', [s.input('float32', [2, 3])], 3)[0] as Value;
  }),
  ...pairs('MatMulInteger', 'int32', (s, a, b) => {
    const zeros = [s.weight(a, [], 1), s.weight(b, [], 1)];
    return s.op('MatMulInteger', [s.input(a, [2, 8]), s.weight(b, [8, 4]), ...zeros]);
  }),
  trial('MatMulInteger:per-channel', { gives: 'int32' }, (s) => {
    const zeros = [s.weight('uint8', [], 1), s.weight('int8', [4])];
    return s.op('MatMulInteger', [s.input('uint8', [2, 8]), s.weight('int8', [8, 4]), ...zeros]);
  }),
  // Kernels that add pairs in 16 bits give 32767 for each.
  trial('MatMulInteger:exact', { gives: 'int32', expected: 255 * 127 * 64 }, (s) => {
    return s.op('MatMulInteger', [s.input('uint8', [2, 64], 255), s.weight('int8', [64, 16], 127)]);
  }),
  ...pairs('MatMulIntegerToFloat', 'float32', (s, a, b) => {
    const zeros = [s.weight(a, [], 1), s.weight(b, [4])];
    const scales = [scale(s), s.weight('float32', [4])];
    const bias = s.weight('float32', [4]);
    const matrices = [s.input(a, [2, 8]), s.weight(b, [8, 4])];
    return s.contrib('MatMulIntegerToFloat', [...matrices, ...scales, ...zeros, bias]);
  }),
  ...(['s8', 'u8'] as const).map((type) =>
    trial(`DynamicQuantizeMatMul:${type}`, {}, (s) => {
      const b = TYPES[type];
      const quantized = [s.weight(b, [8, 4]), s.weight('float32', [4]), s.weight(b, [4])];
      const bias = s.weight('float32', [4]);
      return s.contrib('DynamicQuantizeMatMul', [s.input('float32', [2, 8]), ...quantized, bias]);
    }),
  ),
  ...pairs('QLinearMatMul', 'same', (s, a, b) => {
    const left = [s.input(a, [2, 8]), scale(s), s.weight(a, [])];
    const right = [s.weight(b, [8, 4]), scale(s), s.weight(b, [])];
    return s.op('QLinearMatMul', [...left, ...right, scale(s), s.weight(a, [])]);
  }),
  trial('QLinearMatMul:per-channel', { gives: 'uint8' }, (s) => {
    const left = [s.input('uint8', [2, 8]), scale(s), s.weight('uint8', [])];
    const right = [s.weight('int8', [8, 4]), s.weight('float32', [4], 1), s.weight('int8', [4], 0)];
    return s.op('QLinearMatMul', [...left, ...right, scale(s), s.weight('uint8', [])]);
  }),
  ...pairs('QGemm', 'same', (s, a, b) => {
    const left = [s.input(a, [2, 8]), scale(s), s.weight(a, [])];
    const right = [s.weight(b, [8, 4]), s.weight('float32', [4], 1), s.weight(b, [4], 0)];
    const out = [s.weight('int32', [4]), scale(s), s.weight(a, [])];
    return s.contrib('QGemm', [...left, ...right, ...out]);
  }),
  trial('QGemm:float', {}, (s) => {
    const left = [s.input('uint8', [2, 8]), scale(s), s.weight('uint8', [])];
    const right = [s.weight('int8', [8, 4]), scale(s), s.weight('int8', [])];
    return s.contrib('QGemm', [...left, ...right, s.weight('int32', [4])]);
  }),
  ...pairs('QAttention', 'float32', (s, a, b) => {
    const matrices = [s.input(a, [1, 3, 8]), s.weight(b, [8, 24]), s.weight('float32', [24])];
    const scales = [scale(s), s.weight('float32', [24], 1)];
    const zeros = [undefined, s.weight(a, []), s.weight(b, [24], 0)];
    return s.contrib('QAttention', [...matrices, ...scales, ...zeros], { num_heads: 2 });
  }),
];

const convolutions: Trial[] = [
  ...pairs('ConvInteger', 'int32', (s, a, b) => {
    const zeros = [s.weight(a, [], 1), s.weight(b, [], 0)];
    return s.op('ConvInteger', [s.input(a, [1, 4, 5, 5]), s.weight(b, [4, 4, 3, 3]), ...zeros]);
  }),
  trial('ConvInteger:per-channel', { gives: 'int32' }, (s) => {
    const zeros = [s.weight('uint8', [], 1), s.weight('int8', [4])];
    const x = s.input('uint8', [1, 4, 5, 5]);
    return s.op('ConvInteger', [x, s.weight('int8', [4, 4, 3, 3]), ...zeros]);
  }),
  ...pairs('QLinearConv', 'same', (s, a, b) => qLinearConv(s, a, b, [5, 5])),
  ...[
    ['QLinearConv:1d', [9]],
    ['QLinearConv:3d', [4, 4, 4]],
  ].map(([kernel, sizes]) =>
    trial(kernel as string, { gives: 'uint8' }, (s) =>
      qLinearConv(s, 'uint8', 'int8', sizes as number[]),
    ),
  ),
  trial('QLinearConv:per-channel', { gives: 'uint8' }, (s) =>
    qLinearConv(s, 'uint8', 'int8', [5, 5], [4]),
  ),
];

function qLinearConv(s: Sketch, a: DType, b: DType, sizes: number[], channels: number[] = []) {
  const x = [s.input(a, [1, 4, ...sizes]), scale(s), s.weight(a, [])];
  const kernel = s.weight(b, [4, 4, ...sizes.map(() => 3)]);
  const w = [kernel, s.weight('float32', channels, 1), s.weight(b, channels, 0)];
  return s.op('QLinearConv', [...x, ...w, scale(s), s.weight(a, []), s.weight('int32', [4])]);
}

const recurrent: Trial[] = (['s8', 'u8'] as const).flatMap((type) =>
  [false, true].map((isPerChannel) =>
    trial(`DynamicQuantizeLSTM:${type}${isPerChannel ? '-per-channel' : ''}`, {}, (s) => {
      const dtype = TYPES[type];
      const [hidden, size] = [4, 3];
      const shape = isPerChannel ? [1, 4 * hidden] : [1];
      const weights = [
        s.weight(dtype, [1, size, 4 * hidden]),
        s.weight(dtype, [1, hidden, 4 * hidden]),
      ];
      const w = [s.weight('float32', shape, 1), s.weight(dtype, shape, 0)];
      const r = [s.weight('float32', shape, 1), s.weight(dtype, shape, 0)];
      const none = [undefined, undefined, undefined, undefined, undefined];
      const inputs = [s.input('float32', [2, 1, size]), ...weights, ...none, ...w, ...r];
      return s.contribs('DynamicQuantizeLSTM', inputs, 3, { hidden_size: hidden })[0] as Value;
    }),
  ),
);

const elementwise: Trial[] = (['u8', 's8'] as const).flatMap((type) => {
  const dtype = TYPES[type];
  const of = (op: string, draw: (s: Sketch, quantized: () => Value[]) => Value) =>
    trial(`${op}:${type}`, { gives: dtype }, (s) => draw(s, () => [scale(s), s.weight(dtype, [])]));
  const image = (s: Sketch) => s.input(dtype, [1, 2, 4, 4]);
  const binary = (op: string) =>
    of(op, (s, q) => s.contrib(op, [image(s), ...q(), image(s), ...q(), ...q()]));
  const unary = (op: string, attrs = {}) =>
    of(op, (s, q) => s.contrib(op, [image(s), ...q(), ...q()], attrs));
  return [
    ...['QLinearAdd', 'QLinearMul'].map(binary),
    ...['QLinearSigmoid', 'QLinearLeakyRelu', 'QLinearGlobalAveragePool'].map((op) =>
      unary(
        op,
        op === 'QLinearLeakyRelu' ? {} : op === 'QLinearSigmoid' ? {} : { channels_last: 0 },
      ),
    ),
    unary('QLinearAveragePool', { kernel_shape: [2, 2] }),
    unary('QLinearSoftmax', { axis: -1, opset: 13 }),
    of('QLinearConcat', (s, q) =>
      s.contrib('QLinearConcat', [...q(), image(s), ...q(), image(s), ...q()], { axis: 1 }),
    ),
    of('QLinearWhere', (s, q) => {
      const condition = s.input('bool', [1, 2, 4, 4]);
      return s.contrib('QLinearWhere', [condition, image(s), ...q(), image(s), ...q(), ...q()]);
    }),
  ];
});

const QUANTIZED = [
  ...['int8', 'uint8', 'int16', 'uint16', 'int4', 'uint4', 'int2', 'uint2'],
  ...['float8e4m3fn', 'float8e4m3fnuz', 'float8e5m2', 'float8e5m2fnuz'],
] as DType[];

/** The standard domain has int16 and 4 bits since opset 21, 2 bits since 25, float8 since 19. */
const opsetOf = (dtype: DType) =>
  dtype.endsWith('2') && dtype.includes('int')
    ? 25
    : dtype.startsWith('float8')
      ? 19
      : dtype.endsWith('8')
        ? 13
        : 21;

const linear: Trial[] = QUANTIZED.flatMap((dtype) => {
  const opset = opsetOf(dtype);
  const half = Math.max(opset, 19);
  const blocked = Math.max(opset, 21);
  const quantize = (s: Sketch, scales: DType) =>
    s.op('QuantizeLinear', [s.input(scales, [2, 8]), s.weight(scales, [], 1), s.weight(dtype, [])]);
  const back = (s: Sketch, x: Value, scales: DType) =>
    s.op('DequantizeLinear', [x, s.weight(scales, [], 1), s.weight(dtype, [])]);
  // 4 bits cannot leave a session: they are turned back inside of it.
  return [
    trial(`QuantizeLinear:${dtype}`, { opset }, (s) => back(s, quantize(s, 'float32'), 'float32')),
    trial(`QuantizeLinear:${dtype}-fp16`, { opset: half, gives: 'float16' }, (s) =>
      back(s, quantize(s, 'float16'), 'float16'),
    ),
    trial(`DequantizeLinear:${dtype}`, { opset }, (s) => {
      return back(s, s.weight(dtype, [2, 8]), 'float32');
    }),
    trial(`DequantizeLinear:${dtype}-per-channel`, { opset }, (s) => {
      const scales = [s.weight('float32', [2], 1), s.weight(dtype, [2])];
      return s.op('DequantizeLinear', [s.weight(dtype, [2, 8]), ...scales], { axis: 0 });
    }),
    trial(`DequantizeLinear:${dtype}-fp16`, { opset: half, gives: 'float16' }, (s) => {
      return back(s, s.weight(dtype, [2, 8]), 'float16');
    }),
    trial(`DequantizeLinear:${dtype}-blocked`, { opset: blocked }, (s) => {
      const scales = [s.weight('float32', [2, 2], 1), s.weight(dtype, [2, 2])];
      const attrs = { axis: 1, block_size: 4 };
      return s.op('DequantizeLinear', [s.weight(dtype, [2, 8]), ...scales], attrs);
    }),
  ];
});

/** com.microsoft has these types in every opset. */
const early: Trial[] = (['int16', 'uint16', 'int4', 'uint4'] as const).map((dtype) =>
  trial(`com.microsoft.QuantizeLinear:${dtype}`, { opset: 13 }, (s) => {
    const parameters = () => [s.weight('float32', [], 1), s.weight(dtype, [])];
    const codes = s.contrib('QuantizeLinear', [s.input('float32', [2, 8]), ...parameters()]);
    return s.contrib('DequantizeLinear', [codes, ...parameters()]);
  }),
);

export const QUANTIZED_TRIALS = [
  ...products,
  ...convolutions,
  ...recurrent,
  ...elementwise,
  ...linear,
  ...early,
];
