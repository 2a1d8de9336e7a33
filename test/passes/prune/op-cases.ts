// Small graphs, one for each way axes are tied: something makes channels, the operator passes them on,
// something sums over them.

import type { Value } from '../../../src/graph/index.ts';
import { dtypeCode } from '../../../src/tensor/dtype.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import type { Sketch } from '../../helpers/rewriting.ts';

export interface OpCase {
  readonly name: string;
  readonly opset?: number;
  /** Sizes of the groups that can be cut, ascending. */
  readonly units: readonly number[];
  /** False where onnxruntime has no kernel: only the groups are looked at. */
  readonly runs?: boolean;
  /** The cut changes results: only that it runs and shapes stay. */
  readonly mixed?: boolean;
  build(s: Sketch): Value | readonly Value[];
}

const ms = { domain: 'com.microsoft' };

/** [1, c, 6, 6] */
export function image(s: Sketch, c = 8, size = 6): Value {
  const x = s.input('x', [1, 3, size, size]);
  return s.g.op('Conv', [x, s.weight([c, 3, 1, 1]), s.weight([c])]);
}

/** [1, c, H, W] to two channels. */
function read(s: Sketch, x: Value, c = x.shape?.[1] as number): Value {
  return s.g.op('Conv', [x, s.weight([2, c, 1, 1])]);
}

/** [2, 4, c], or with other sizes before. */
function tokens(s: Sketch, c = 8, before: readonly number[] = [2, 4], name = 'x'): Value {
  const x = s.input(name, [...before, 5]);
  return s.g.op('Add', [s.g.op('MatMul', [x, s.weight([5, c])]), s.weight([c])]);
}

function project(s: Sketch, x: Value, c = x.shape?.at(-1) as number): Value {
  return s.g.op('MatMul', [x, s.weight([c, 3])]);
}

const UNARY =
  'Abs Acos Asin Asinh Atan Atanh Celu Cos Cosh Elu Erf Exp Gelu HardSigmoid HardSwish LeakyRelu Log Mish Neg Reciprocal Relu Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh Ceil Round Identity Dropout Clip';

/** Between 0.1 and 0.9: inside of what all of them are defined for. */
function unit(s: Sketch, x: Value): Value {
  const scaled = s.g.op('Mul', [s.g.op('Sigmoid', [x]), s.scalar(0.8)]);
  return s.g.op('Add', [scaled, s.scalar(0.1)]);
}

const cast = (s: Sketch, x: Value, to: 'bool' | 'int32' | 'float32' | 'uint8') =>
  s.g.op('Cast', [x], { to: dtypeCode(to) });

const unary: OpCase[] = UNARY.split(' ').map((op) => ({
  name: op,
  opset: 22,
  units: [8],
  build: (s) => read(s, s.g.op(op, [unit(s, image(s))])),
}));

const functions: OpCase[] = [
  {
    name: 'ThresholdedRelu',
    units: [8],
    build: (s) => read(s, s.g.op('ThresholdedRelu', [unit(s, image(s))], { alpha: 0.3 })),
  },
  {
    name: 'Floor',
    units: [8],
    build: (s) => read(s, s.g.op('Floor', [s.g.op('Mul', [image(s), s.scalar(5)])])),
  },
  {
    name: 'Acosh',
    units: [8],
    build: (s) => read(s, s.g.op('Acosh', [s.g.op('Add', [unit(s, image(s)), s.scalar(1)])])),
  },
  {
    name: 'Swish',
    opset: 24,
    units: [8],
    build: (s) => read(s, s.g.op('Swish', [image(s)])),
  },
  ...['IsNaN', 'IsInf'].map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build(s) {
        const x = s.g.op('Log', [image(s)]);
        const flag = s.g.op('Not', [s.g.op(op, [x])]);
        return read(s, s.g.op('Where', [flag, s.g.op('Sin', [image2(s)]), s.scalar(0.5)]));
      },
    }),
  ),
  {
    name: 'BitwiseNot',
    units: [8],
    build(s) {
      const x = cast(s, s.g.op('Mul', [image(s), s.scalar(20)]), 'int32');
      return read(s, cast(s, s.g.op('BitwiseNot', [x]), 'float32'));
    },
  },
  {
    name: 'CastLike',
    units: [8],
    build: (s) => read(s, s.g.op('CastLike', [image(s), s.scalar(1)])),
  },
  {
    name: 'PRelu with a slope [C, 1, 1]',
    units: [8],
    build: (s) => read(s, s.g.op('PRelu', [image(s), s.weight([8, 1, 1])])),
  },
  ...['CumSum', 'CumProd'].map(
    (op): OpCase => ({
      name: `${op} along another axis`,
      opset: op === 'CumProd' ? 26 : 21,
      units: [8],
      build: (s) =>
        read(s, s.g.op(op, [image(s), s.g.constant('axis', Tensor.scalar('int64', 2))])),
    }),
  ),
  { name: 'Trilu', units: [8], build: (s) => read(s, s.g.op('Trilu', [image(s)])) },
  ...['Softmax', 'LogSoftmax', 'Hardmax'].flatMap((op): OpCase[] => [
    {
      name: `${op} along another axis`,
      units: [8],
      build: (s) => read(s, s.g.op(op, [image(s)], { axis: 2 })),
    },
    {
      name: `${op} of opset 11 behind the channels`,
      opset: 11,
      units: [8],
      build: (s) => read(s, s.g.op(op, [image(s)], { axis: 2 })),
    },
  ]),
  {
    name: 'Softmax over channels',
    units: [],
    build: (s) => read(s, s.g.op('Softmax', [image(s)], { axis: 1 })),
  },
];

/** Channels of another convolution. */
function image2(s: Sketch, c = 8): Value {
  return s.g.op('Conv', [s.input('z', [1, 3, 6, 6]), s.weight([c, 3, 1, 1])]);
}

const ARITHMETIC = 'Add Sub Mul Div Min Max Sum Mean Mod Pow';

const binary: OpCase[] = [
  ...ARITHMETIC.split(' ').map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build(s) {
        const [a, b] = [unit(s, image(s)), unit(s, image2(s))];
        const joined = s.g.op(op, [a, b], op === 'Mod' ? { fmod: 1 } : {});
        const constant = s.positive([8, 1, 1]);
        return read(s, s.g.op(op, [joined, constant], op === 'Mod' ? { fmod: 1 } : {}));
      },
    }),
  ),
  ...'Greater GreaterOrEqual Less LessOrEqual'.split(' ').map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build: (s) => read(s, cast(s, s.g.op(op, [image(s), s.weight([1, 8, 1, 1])]), 'float32')),
    }),
  ),
  ...'And Or Xor'.split(' ').map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build(s) {
        const [a, b] = [image(s), image2(s)].map((x) => s.g.op('Greater', [x, s.scalar(0)]));
        const both = s.g.op(op, [a, b]);
        return read(s, s.g.op('Where', [both, s.g.op('Identity', [image3(s)]), s.scalar(0.1)]));
      },
    }),
  ),
  ...'BitwiseAnd BitwiseOr BitwiseXor BitShift'.split(' ').map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build(s) {
        const [a, b] = [image(s), image2(s)].map((x) =>
          cast(s, s.g.op('Mul', [unit(s, x), s.scalar(9)]), 'uint8'),
        );
        const attrs = op === 'BitShift' ? { direction: 'LEFT' } : {};
        return read(s, cast(s, s.g.op(op, [a, b], attrs), 'float32'));
      },
    }),
  ),
  {
    name: 'Equal',
    units: [8],
    build(s) {
      const whole = s.g.op('Round', [s.g.op('Mul', [image(s), s.scalar(2)])]);
      return read(s, cast(s, s.g.op('Equal', [whole, s.scalar(1)]), 'float32'));
    },
  },
  {
    name: 'Add of opset 6 with an axis',
    opset: 6,
    runs: false,
    units: [8],
    build: (s) => read(s, s.g.op('Add', [image(s), s.weight([8])], { axis: 1, broadcast: 1 })),
  },
  {
    name: 'Where between a computed value and a stretched one',
    units: [8],
    build(s) {
      const flag = s.g.op('Greater', [image(s), s.scalar(0)]);
      return read(s, s.g.op('Where', [flag, s.weight([8, 1, 1]), s.scalar(-1)]));
    },
  },
];

function image3(s: Sketch): Value {
  return s.g.op('Conv', [s.input('y', [1, 3, 6, 6]), s.weight([8, 3, 1, 1])]);
}

const products: OpCase[] = [
  {
    name: 'Conv, grouped: the same channels of each group',
    units: [3, 4],
    build(s) {
      const x = image(s, 8);
      return read(s, s.g.op('Conv', [x, s.weight([6, 4, 3, 3]), s.weight([6])], { group: 2 }));
    },
  },
  {
    name: 'Conv, grouped: whole groups',
    units: [6],
    build(s) {
      const x = image(s, 12);
      return read(s, s.g.op('Conv', [x, s.weight([18, 2, 3, 3]), s.weight([18])], { group: 6 }));
    },
  },
  {
    name: 'Conv, depthwise with two results each',
    units: [8],
    build: (s) => read(s, s.g.op('Conv', [image(s), s.weight([16, 1, 3, 3])], { group: 8 })),
  },
  {
    name: 'Conv of one and of three spatial axes',
    units: [4, 8],
    build(s) {
      const flat = s.g.op('Conv', [s.input('x', [1, 3, 9]), s.weight([8, 3, 3]), s.weight([8])]);
      const a = s.g.op('Conv', [flat, s.weight([2, 8, 1])]);
      const solid = s.g.op('Conv', [s.input('y', [1, 2, 4, 4, 4]), s.weight([4, 2, 3, 3, 3])]);
      return [a, s.g.op('Conv', [solid, s.weight([2, 4, 1, 1, 1])])];
    },
  },
  {
    name: 'ConvTranspose',
    units: [5, 8],
    build: (s) =>
      read(s, s.g.op('ConvTranspose', [image(s), s.weight([8, 5, 2, 2]), s.weight([5])])),
  },
  {
    name: 'ConvTranspose, grouped: the same channels of each group',
    units: [3, 4],
    build: (s) =>
      read(
        s,
        s.g.op('ConvTranspose', [image(s), s.weight([8, 3, 2, 2]), s.weight([6])], { group: 2 }),
      ),
  },
  {
    name: 'ConvTranspose, depthwise',
    units: [8],
    build: (s) =>
      read(s, s.g.op('ConvTranspose', [image(s), s.weight([8, 1, 2, 2])], { group: 8 })),
  },
  ...[0, 1]
    .flatMap((transA) =>
      [0, 1].map(
        (transB): OpCase => ({
          name: `Gemm with transA ${transA} and transB ${transB}`,
          units: [6, 8],
          build(s) {
            const x = tokens(s, 8, [2]);
            const a = transA ? s.g.op('Transpose', [x], { perm: [1, 0] }) : x;
            const b = s.weight(transB ? [6, 8] : [8, 6]);
            const y = s.g.op('Gemm', [a, b, s.weight([6])], { transA, transB });
            return project(s, s.g.op('Gemm', [y, s.weight([6, 6]), s.weight([1, 6])]));
          },
        }),
      ),
    )
    .map((row): OpCase => ({ ...row, units: [6, 6, 8] })),
  {
    name: 'MatMul with the weight on the left',
    units: [7, 8],
    build(s) {
      const x = s.g.op('MatMul', [s.weight([8, 5]), s.input('x', [5, 4])]);
      const y = s.g.op('MatMul', [s.weight([7, 8]), s.g.op('Relu', [x])]);
      return s.g.op('MatMul', [s.weight([3, 7]), y]);
    },
  },
  {
    name: 'MatMul of two computed values: the summed axis',
    units: [8],
    build(s) {
      const [a, b] = [tokens(s, 8, [2, 4]), tokens(s, 8, [2, 4], 'y')];
      return s.g.op('MatMul', [a, s.g.op('Transpose', [b], { perm: [0, 2, 1] })]);
    },
  },
  {
    name: 'MatMul with a vector',
    units: [8],
    build: (s) => s.g.op('MatMul', [tokens(s), s.weight([8])]),
  },
  {
    name: 'Einsum',
    units: [6, 8],
    build(s) {
      const y = s.g.op('Einsum', [tokens(s), s.weight([8, 6])], { equation: 'bsc,cd->bsd' });
      return s.g.op('Einsum', [y, s.weight([6])], { equation: 'bsd,d->bs' });
    },
  },
  {
    name: 'FusedConv with an addend',
    units: [6, 8],
    build(s) {
      const x = image(s);
      const addend = s.g.op('Conv', [x, s.weight([6, 8, 1, 1])]);
      const inputs = [x, s.weight([6, 8, 1, 1]), s.weight([6]), addend];
      return read(s, s.g.op('FusedConv', inputs, { activation: 'Relu' }, ms));
    },
  },
  ...['FusedMatMul', 'TransposeMatMul'].map(
    (op): OpCase => ({
      name: op,
      units: [6, 8],
      build(s) {
        const y = s.g.op(op, [tokens(s), s.weight([6, 8])], { transB: 1 }, ms);
        return project(s, y);
      },
    }),
  ),
  {
    name: 'FusedGemm',
    units: [6, 8],
    build(s) {
      const inputs = [tokens(s, 8, [2]), s.weight([8, 6]), s.weight([6])];
      return project(s, s.g.op('FusedGemm', inputs, { activation: 'Relu' }, ms));
    },
  },
];

const pooling: OpCase[] = [
  ...['MaxPool', 'AveragePool', 'LpPool'].map(
    (op): OpCase => ({
      name: op,
      units: [8],
      build: (s) => read(s, s.g.op(op, [image(s)], { kernel_shape: [2, 2] })),
    }),
  ),
  ...['GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool'].map(
    (op): OpCase => ({ name: op, units: [8], build: (s) => read(s, s.g.op(op, [image(s)])) }),
  ),
  {
    name: 'MaxPool with indices that are read',
    units: [],
    build(s) {
      const [y, indices] = s.g.ops('MaxPool', [image(s)], 2, { kernel_shape: [2, 2] });
      return [read(s, y as Value), s.g.op('Identity', [indices])];
    },
  },
  {
    name: 'MaxRoiPool',
    units: [8],
    build(s) {
      const regions = s.g.constant('rois', Tensor.of('float32', [1, 5], [0, 0, 0, 4, 4]));
      return read(s, s.g.op('MaxRoiPool', [image(s), regions], { pooled_shape: [2, 2] }));
    },
  },
  {
    name: 'RoiAlign',
    units: [8],
    build(s) {
      const regions = s.g.constant('rois', Tensor.of('float32', [1, 4], [0, 0, 4, 4]));
      return read(
        s,
        s.g.op('RoiAlign', [image(s), regions, s.ints(0)], { output_height: 2, output_width: 2 }),
      );
    },
  },
  {
    name: 'Resize with scales, then with sizes of all axes',
    units: [8],
    build(s) {
      const scales = s.g.constant('scales', Tensor.of('float32', [4], [1, 1, 2, 2]));
      const y = s.g.op('Resize', [image(s), undefined, scales]);
      return read(s, s.g.op('Resize', [y, undefined, undefined, s.ints(1, 8, 5, 5)]));
    },
  },
  {
    name: 'Upsample',
    opset: 9,
    units: [8],
    build(s) {
      const scales = s.g.constant('scales', Tensor.of('float32', [4], [1, 1, 2, 2]));
      return read(s, s.g.op('Upsample', [image(s), scales]));
    },
  },
  {
    name: 'GridSample',
    units: [8],
    build: (s) => read(s, s.g.op('GridSample', [image(s), s.weight([1, 4, 4, 2])])),
  },
  {
    name: 'GridSample of com.microsoft',
    units: [8],
    build: (s) => read(s, s.g.op('GridSample', [image(s), s.weight([1, 4, 4, 2])], {}, ms)),
  },
];

export const COMPUTE_CASES: readonly OpCase[] = [
  ...unary,
  ...functions,
  ...binary,
  ...products,
  ...pooling,
];

export { cast, ms, project, read, tokens };
