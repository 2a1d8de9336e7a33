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

export const ELEMENTWISE_CASES: readonly OpCase[] = [...unary, ...functions, ...binary];

export { cast, ms, project, read, tokens };
