// Elementwise operators: numpy broadcasting, result type from the first input unless said otherwise.
// ONNX specification, "Broadcasting in ONNX".

import { type Dim, max, min, type Node, type Shape, sameDim } from '../graph/index.ts';
import { type DType, isInteger } from '../tensor/dtype.ts';
import {
  alongAxes,
  cumulativeAxes,
  elementwiseAxes,
  matrixAxes,
  preluAxes,
  unaryAxes,
} from './axes/same.ts';
import type { InferContext } from './context.ts';
import { chooseKnown, FOLDS, foldKnown, mapKnown, remainder, UNARY_FOLDS } from './known.ts';
import { define, type Inferred, lookup, type OpSpec, tensor } from './op.ts';
import { roundedElements, wholeResult } from './ratio.ts';

/** Numpy-style broadcast of two shapes; undefined: incompatible. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const dims: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const dim = broadcastDim(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1);
    if (dim === undefined) return undefined;
    dims.push(dim);
  }
  return dims;
}

function broadcastDim(x: Dim, y: Dim): Dim | undefined {
  if (x === 1) return y;
  if (y === 1 || sameDim(x, y)) return x;
  // Against a size above 1 a symbol can only be that size or 1.
  if (typeof x === 'number') return typeof y === 'number' ? undefined : x;
  if (typeof y === 'number') return y;
  return max(x, y);
}

/** Whether an element of the result depends on one of each input, and on no chance. */
export function isElementwise(node: Node): boolean {
  const spec = lookup(node);
  const isByElement = spec?.axes === elementwiseAxes || spec?.axes === unaryAxes;
  return isByElement && spec.pure !== false;
}

/** Shape of the inputs from `first` on, broadcast together. */
export function broadcastInputs(c: InferContext, first = 0): Shape | undefined {
  let shape: Shape | undefined = [];
  for (let i = first; i < c.inputCount; i++) {
    const next = c.shape(i);
    if (!next || !shape) return undefined;
    const both: Shape | undefined = broadcast(shape, next);
    if (!both)
      c.fail(`${c.node.op} cannot broadcast [${shape.join(', ')}] with [${next.join(', ')}]`);
    shape = both;
  }
  return shape;
}

/** Before opset 7 the second input was stretched to the first one, if `broadcast` said so. */
function legacyBroadcast(c: InferContext): Shape | undefined {
  return c.opset < 7 && c.inputCount === 2 ? c.shape(0) : broadcastInputs(c);
}

function variadic(op: string, result?: DType): OpSpec {
  return {
    op,
    infer: (c) => {
      const dtype = result ?? firstDtype(c);
      return [tensor(dtype, legacyBroadcast(c), variadicKnown(c))];
    },
    axes: elementwiseAxes,
  };
}

function variadicKnown(c: InferContext): readonly Dim[] | undefined {
  const { op } = c.node;
  if (!integerInputs(c)) return wholeResult(c.node);
  const fold = op === 'Mod' ? remainder(c.node.int('fmod', 0) === 1) : FOLDS[op];
  return fold && foldKnown(c, fold);
}

function firstDtype(c: InferContext): DType | undefined {
  for (let i = 0; i < c.inputCount; i++) {
    const dtype = c.dtype(i);
    if (dtype) return dtype;
  }
  return undefined;
}

function integerInputs(c: InferContext): boolean {
  const dtype = c.dtype(0);
  return dtype !== undefined && (isInteger(dtype) || dtype === 'bool');
}

const ARITHMETIC = ['Add', 'Sub', 'Mul', 'Div', 'Mod', 'Min', 'Max', 'Sum', 'Mean', 'BitShift'];
const BITWISE = ['BitwiseAnd', 'BitwiseOr', 'BitwiseXor'];
const COMPARISONS = [
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'And',
  'Or',
  'Xor',
];

/** One input, one output of the same type and shape. */
const SAME = [
  'Abs',
  'Acos',
  'Acosh',
  'Asin',
  'Asinh',
  'Atan',
  'Atanh',
  'BitwiseNot',
  'Celu',
  'Cos',
  'Cosh',
  'Elu',
  'Erf',
  'Exp',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'LeakyRelu',
  'Log',
  'Mish',
  'Neg',
  'Not',
  'Reciprocal',
  'Relu',
  'Selu',
  'Shrink',
  'Sigmoid',
  'Sign',
  'Sin',
  'Sinh',
  'Softplus',
  'Softsign',
  'Sqrt',
  'Swish',
  'Tan',
  'Tanh',
  'ThresholdedRelu',
  'CumProd',
  'CumSum',
  'Trilu',
];

/** Not all axes of these are alike. */
const UNLIKE: Readonly<Record<string, OpSpec['axes']>> = {
  CumProd: cumulativeAxes,
  CumSum: cumulativeAxes,
  Trilu: matrixAxes,
};

function unary(op: string): OpSpec {
  const fold = UNARY_FOLDS[op];
  const axes = UNLIKE[op] ?? unaryAxes;
  return { op, infer: (c) => [sameAs(c, 0, fold && mapKnown(c.known(0), fold))], axes };
}

/** Before opset 13 the axis said where a matrix of rows begins, and could be any. */
function alongAxis(op: string): OpSpec {
  return {
    op,
    infer: (c) => {
      const rank = c.rank(0) ?? 0;
      if (c.opset >= 13 && rank > 0) c.axis(c.node.int('axis', -1), rank);
      return [sameAs(c, 0)];
    },
    axes: alongAxes,
  };
}

/** Between integers, too, where what it rounds is a fraction of sizes. */
function rounding(op: string, to: 'floor' | 'ceil'): OpSpec {
  const { infer } = unary(op);
  return {
    op,
    infer: (c) => (c.known(0) ? infer(c) : [sameAs(c, 0, roundedElements(c.node.inputs[0], to))]),
    axes: unaryAxes,
  };
}

/** Bounds are attributes until opset 10, and scalar inputs since. */
function clipped(c: InferContext): Inferred {
  const [low, high] = [1, 2].map((i) => (c.has(i) ? c.known(i)?.[0] : null));
  const isInteger = integerInputs(c) && low !== undefined && high !== undefined;
  const clip = (dim: Dim) => min(max(dim, low ?? dim), high ?? dim);
  return sameAs(c, 0, isInteger ? mapKnown(c.known(0), clip) : undefined);
}

/** The type of an input, handed on. */
export function sameAs(c: InferContext, index: number, known?: readonly Dim[]): Inferred {
  return { type: c.type(index), known };
}

define(
  ...[...ARITHMETIC, ...BITWISE].map((op) => variadic(op)),
  ...COMPARISONS.map((op) => variadic(op, 'bool')),
  ...SAME.map(unary),
  rounding('Ceil', 'ceil'),
  rounding('Floor', 'floor'),
  unary('Round'),
  { op: 'Clip', infer: (c) => [clipped(c)], axes: unaryAxes },
  ...['Hardmax', 'LogSoftmax', 'Softmax'].map(alongAxis),
  { op: 'IsNaN', infer: (c) => [tensor('bool', c.shape(0))], axes: unaryAxes },
  { op: 'IsInf', infer: (c) => [tensor('bool', c.shape(0))], axes: unaryAxes },
  { op: 'Pow', infer: (c) => [tensor(c.dtype(0), legacyBroadcast(c))], axes: elementwiseAxes },
  // The slope is stretched to the data, never the other way round.
  { op: 'PRelu', infer: (c) => [sameAs(c, 0)], axes: preluAxes },
  {
    op: 'Where',
    infer: (c) => [tensor(c.dtype(1) ?? c.dtype(2), broadcastInputs(c), chooseKnown(c))],
    axes: elementwiseAxes,
  },
);
