// Which operators have kernels of their own for float16 and bfloat16 (elsewhere a runtime casts to
// float32 and back, or refuses), and which opsets and file format versions load.

import type { Attrs, Value } from '../../src/graph/index.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { FUSED } from './packed.ts';
import { type Sketch, type Trial, trial } from './sketch.ts';

type Draw = (s: Sketch, dtype: DType) => Value;
const image = (s: Sketch, t: DType) => s.input(t, [1, 2, 4, 4]);

const UNARY = [
  ...['Abs', 'Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Ceil', 'Celu', 'Cos', 'Cosh'],
  ...['Elu', 'Erf', 'Exp', 'Floor', 'Gelu', 'HardSigmoid', 'HardSwish', 'Identity', 'LeakyRelu'],
  ...['Log', 'Mish', 'Neg', 'Reciprocal', 'Relu', 'Round', 'Selu', 'Shrink', 'Sigmoid', 'Sign'],
  ...['Sin', 'Sinh', 'Softplus', 'Softsign', 'Sqrt', 'Tan', 'Tanh', 'ThresholdedRelu', 'Clip'],
  ...['Dropout', 'Flatten', 'Transpose', 'Softmax', 'LogSoftmax', 'Hardmax', 'GlobalAveragePool'],
  ...['GlobalMaxPool', 'LpNormalization', 'ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin'],
  ...['ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp', 'ReduceSumSquare'],
  'Trilu',
];
const BINARY = ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Sum', 'Mean', 'PRelu', 'Mod'];
const COMPARISONS = ['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'];

const ATTRS: Readonly<Record<string, Attrs>> = { Mod: { fmod: 1 } };

const OTHERS: Readonly<Record<string, Draw>> = {
  MatMul: (s, t) => s.op('MatMul', [s.input(t, [2, 8]), s.weight(t, [8, 4])]),
  Gemm: (s, t) => s.op('Gemm', [s.input(t, [2, 8]), s.weight(t, [8, 4]), s.weight(t, [4])]),
  Conv: (s, t) => s.op('Conv', [image(s, t), s.weight(t, [2, 2, 3, 3]), s.weight(t, [2])]),
  ConvTranspose: (s, t) => s.op('ConvTranspose', [image(s, t), s.weight(t, [2, 2, 3, 3])]),
  AveragePool: (s, t) => s.op('AveragePool', [image(s, t)], { kernel_shape: [2, 2] }),
  MaxPool: (s, t) => s.op('MaxPool', [image(s, t)], { kernel_shape: [2, 2] }),
  LpPool: (s, t) => s.op('LpPool', [image(s, t)], { kernel_shape: [2, 2] }),
  LRN: (s, t) => s.op('LRN', [image(s, t)], { size: 3 }),
  BatchNormalization: (s, t) => {
    const channel = () => s.weight(t, [2]);
    return s.op('BatchNormalization', [image(s, t), channel(), channel(), channel(), channel()]);
  },
  InstanceNormalization: (s, t) =>
    s.op('InstanceNormalization', [image(s, t), s.weight(t, [2]), s.weight(t, [2])]),
  GroupNormalization: (s, t) =>
    s.op('GroupNormalization', [image(s, t), s.weight(t, [2]), s.weight(t, [2])], {
      num_groups: 1,
    }),
  LayerNormalization: (s, t) =>
    s.op('LayerNormalization', [image(s, t), s.weight(t, [4]), s.weight(t, [4])]),
  RMSNormalization: (s, t) => s.op('RMSNormalization', [image(s, t), s.weight(t, [4])]),
  Attention: (s, t) => s.op('Attention', [image(s, t), image(s, t), image(s, t)]),
  RotaryEmbedding: (s, t) => {
    const caches = [s.weight(t, [1, 4, 2]), s.weight(t, [1, 4, 2])];
    return s.op('RotaryEmbedding', [image(s, t), ...caches]);
  },
  Einsum: (s, t) =>
    s.op('Einsum', [s.input(t, [2, 3]), s.input(t, [3, 2])], { equation: 'ij,jk->ik' }),
  Concat: (s, t) => s.op('Concat', [image(s, t), image(s, t)], { axis: 1 }),
  Split: (s, t) => s.ops('Split', [image(s, t)], 2, { axis: 1, num_outputs: 2 })[0] as Value,
  Slice: (s, t) => s.op('Slice', [image(s, t), s.ints(0), s.ints(1), s.ints(1)]),
  Gather: (s, t) => s.op('Gather', [image(s, t), s.ints(0)]),
  GatherElements: (s, t) =>
    s.op('GatherElements', [s.input(t, [2, 2]), s.weight('int64', [2, 2], 0)]),
  GatherND: (s, t) => s.op('GatherND', [s.input(t, [2, 2]), s.weight('int64', [1, 1], 0)]),
  ScatterND: (s, t) => {
    const updates = [s.weight('int64', [1, 1], 0), s.input(t, [1, 2])];
    return s.op('ScatterND', [s.input(t, [2, 2]), ...updates]);
  },
  ScatterElements: (s, t) => {
    const updates = [s.weight('int64', [1, 2], 0), s.input(t, [1, 2])];
    return s.op('ScatterElements', [s.input(t, [2, 2]), ...updates]);
  },
  Reshape: (s, t) => s.op('Reshape', [image(s, t), s.ints(4, 8)]),
  Squeeze: (s, t) => s.op('Squeeze', [image(s, t), s.ints(0)]),
  Unsqueeze: (s, t) => s.op('Unsqueeze', [image(s, t), s.ints(0)]),
  Expand: (s, t) => s.op('Expand', [image(s, t), s.ints(2, 2, 4, 4)]),
  Tile: (s, t) => s.op('Tile', [image(s, t), s.ints(1, 1, 2, 2)]),
  Pad: (s, t) => s.op('Pad', [image(s, t), s.ints(0, 0, 1, 1, 0, 0, 1, 1)]),
  Where: (s, t) => s.op('Where', [s.input('bool', [1, 2, 4, 4]), image(s, t), image(s, t)]),
  Resize: (s, t) =>
    s.op('Resize', [image(s, t), undefined, undefined, s.ints(1, 2, 8, 8)], { mode: 'nearest' }),
  'Resize:linear': (s, t) =>
    s.op('Resize', [image(s, t), undefined, undefined, s.ints(1, 2, 8, 8)], { mode: 'linear' }),
  DepthToSpace: (s, t) => s.op('DepthToSpace', [s.input(t, [1, 4, 2, 2])], { blocksize: 2 }),
  SpaceToDepth: (s, t) => s.op('SpaceToDepth', [image(s, t)], { blocksize: 2 }),
  CumSum: (s, t) => s.op('CumSum', [image(s, t), s.weight('int64', [], 1)]),
  TopK: (s, t) => s.ops('TopK', [image(s, t), s.ints(1)], 2)[0] as Value,
  GridSample: (s, t) => s.op('GridSample', [image(s, t), s.input(t, [1, 3, 3, 2])]),
  LSTM: (s, t) => {
    const weights = [s.weight(t, [1, 16, 3]), s.weight(t, [1, 16, 4])];
    return s.ops('LSTM', [s.input(t, [2, 1, 3]), ...weights], 3, { hidden_size: 4 })[0] as Value;
  },
  GRU: (s, t) => {
    const weights = [s.weight(t, [1, 12, 3]), s.weight(t, [1, 12, 4])];
    return s.ops('GRU', [s.input(t, [2, 1, 3]), ...weights], 2, { hidden_size: 4 })[0] as Value;
  },
  RNN: (s, t) => {
    const weights = [s.weight(t, [1, 4, 3]), s.weight(t, [1, 4, 4])];
    return s.ops('RNN', [s.input(t, [2, 1, 3]), ...weights], 2, { hidden_size: 4 })[0] as Value;
  },
};

/** Where they are new. Opset 22 gave bfloat16 to most operators; for float16 an older one will do. */
const OPSETS: Readonly<Record<string, number>> = {
  Attention: 23,
  RMSNormalization: 23,
  RotaryEmbedding: 23,
};

const HALVES = { fp16: 'float16', bf16: 'bfloat16' } as const;

const half: Trial[] = (['fp16', 'bf16'] as const).flatMap((variant) => {
  const dtype = HALVES[variant];
  const of = (op: string, draw: Draw, gives: DType = dtype): Trial => {
    const name = op.includes(':') ? `${op}-${variant}` : `${op}:${variant}`;
    return trial(name, { opset: OPSETS[op] ?? (variant === 'bf16' ? 22 : 21), gives }, (s) =>
      draw(s, dtype),
    );
  };
  return [
    ...UNARY.map((op) => of(op, (s, t) => s.op(op, [image(s, t)], ATTRS[op]))),
    ...BINARY.map((op) => of(op, (s, t) => s.op(op, [image(s, t), image(s, t)], ATTRS[op]))),
    ...COMPARISONS.map((op) => of(op, (s, t) => s.op(op, [image(s, t), image(s, t)]), 'bool')),
    ...Object.entries(OTHERS).map(([op, draw]) => of(op, draw)),
    ...Object.entries(FUSED).map(([op, draw]) => of(op, draw)),
    of('Cast', (s, t) => s.cast(image(s, 'float32'), t)),
  ];
});

const newest: Trial[] = [
  ...[7, 11, 13, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27].map((opset) =>
    trial(`opset:${opset}`, { opset, ir: Math.min(13, opset < 19 ? 8 : opset - 11) }, (s) =>
      s.op('Relu', [s.input('float32', [2])]),
    ),
  ),
  ...[3, 7, 8, 9, 10, 11, 12, 13, 14].map((ir) =>
    trial(`ir:${ir}`, { opset: 7, ir }, (s) => s.op('Relu', [s.input('float32', [2])])),
  ),
  ...[23, 24].flatMap((opset) => [
    trial(`Attention:opset${opset}`, { opset }, (s) => {
      return s.op('Attention', [image(s, 'float32'), image(s, 'float32'), image(s, 'float32')]);
    }),
  ]),
];

export const HALF_TRIALS = [...half, ...newest];
