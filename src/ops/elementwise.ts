// Elementwise operators: numpy broadcasting, result type from the first input unless said otherwise.
// ONNX specification, "Broadcasting in ONNX".

import {
  add,
  type Dim,
  floorDiv,
  max,
  min,
  mul,
  type Shape,
  sameDim,
  sub,
} from '../graph/index.ts';
import { type DType, isInteger } from '../tensor/dtype.ts';
import type { InferContext } from './context.ts';
import { define, type Inferred, type OpSpec, tensor } from './op.ts';

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

type Fold = (a: Dim, b: Dim) => Dim | undefined;

/** What integer operators do to elements that shape arithmetic knows. */
const FOLDS: Readonly<Record<string, Fold>> = {
  Add: add,
  Sub: sub,
  Mul: mul,
  // Integer division truncates; sizes are not negative, so floor is the same where it matters.
  Div: (a, b) => (b === 0 || isNegative(a) || isNegative(b) ? truncated(a, b) : floorDiv(a, b)),
  Mod: (a, b) => (b === 0 ? undefined : sub(a, mul(floorDiv(a, b), b))),
  Min: min,
  Max: max,
  Equal: (a, b) => decide(a, b, (x, y) => x === y),
  Greater: (a, b) => decide(a, b, (x, y) => x > y),
  GreaterOrEqual: (a, b) => decide(a, b, (x, y) => x >= y),
  Less: (a, b) => decide(a, b, (x, y) => x < y),
  LessOrEqual: (a, b) => decide(a, b, (x, y) => x <= y),
  And: (a, b) => decide(a, b, (x, y) => x !== 0 && y !== 0),
  Or: (a, b) => decide(a, b, (x, y) => x !== 0 || y !== 0),
};

function remainder(a: Dim, b: Dim): Dim | undefined {
  return typeof a === 'number' && typeof b === 'number' && b !== 0 ? (a % b) + 0 : undefined;
}

function isNegative(dim: Dim): boolean {
  return typeof dim === 'number' && dim < 0;
}

function truncated(a: Dim, b: Dim): Dim | undefined {
  return typeof a === 'number' && typeof b === 'number' && b !== 0 ? Math.trunc(a / b) : undefined;
}

/** Sizes can be compared where their difference is a number. */
function decide(a: Dim, b: Dim, test: (x: number, y: number) => boolean): Dim | undefined {
  if (typeof a === 'number' && typeof b === 'number') return Number(test(a, b));
  const difference = sub(a, b);
  return typeof difference === 'number' ? Number(test(difference, 0)) : undefined;
}

/** Applies `fold` over all inputs, element by element, scalars repeated. */
function foldKnown(c: InferContext, fold: Fold | undefined): readonly Dim[] | undefined {
  if (!fold) return undefined;
  let result: readonly Dim[] | undefined;
  for (let i = 0; i < c.inputCount; i++) {
    const next = c.known(i);
    // Matrices are repeated along axes, which a list of elements cannot tell.
    if (!next || (c.rank(i) ?? 0) > 1) return undefined;
    result = result ? zip(result, next, fold) : next;
    if (!result) return undefined;
  }
  return result;
}

function zip(a: readonly Dim[], b: readonly Dim[], fold: Fold): readonly Dim[] | undefined {
  const length = a.length === 1 ? b.length : a.length;
  if (b.length !== 1 && b.length !== length) return undefined;
  const dims: Dim[] = [];
  for (let i = 0; i < length; i++) {
    const dim = fold(a[a.length === 1 ? 0 : i] as Dim, b[b.length === 1 ? 0 : i] as Dim);
    if (dim === undefined) return undefined;
    dims.push(dim);
  }
  return dims;
}

/** Before opset 7 the second input was stretched to the first one, if `broadcast` said so. */
function legacyBroadcast(c: InferContext): Shape | undefined {
  return c.opset < 7 && c.inputCount === 2 ? c.shape(0) : broadcastInputs(c);
}

function variadic(op: string, result?: DType): OpSpec {
  return {
    op,
    infer: (c) => {
      // C's remainder takes the sign of the dividend.
      const fold = op === 'Mod' && c.node.int('fmod', 0) ? remainder : FOLDS[op];
      const dtype = result ?? firstDtype(c);
      return [tensor(dtype, legacyBroadcast(c), foldKnown(c, integerInputs(c) ? fold : undefined))];
    },
  };
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
  'Ceil',
  'Celu',
  'Cos',
  'Cosh',
  'Elu',
  'Erf',
  'Exp',
  'Floor',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'Hardmax',
  'LeakyRelu',
  'Log',
  'LogSoftmax',
  'Mish',
  'Neg',
  'Not',
  'Reciprocal',
  'Relu',
  'Round',
  'Selu',
  'Shrink',
  'Sigmoid',
  'Sign',
  'Sin',
  'Sinh',
  'Softmax',
  'Softplus',
  'Softsign',
  'Sqrt',
  'Swish',
  'Tan',
  'Tanh',
  'ThresholdedRelu',
  'Clip',
  'CumSum',
  'Trilu',
];

/** `known` elements that a unary operator passes on or changes. */
const UNARY_FOLDS: Readonly<Record<string, (a: Dim) => Dim | undefined>> = {
  Neg: (a) => mul(a, -1),
  Abs: (a) => (typeof a === 'number' ? Math.abs(a) : a),
  Not: (a) => (typeof a === 'number' ? Number(a === 0) : undefined),
  Ceil: (a) => a,
  Floor: (a) => a,
  Round: (a) => a,
};

function unary(op: string): OpSpec {
  const fold = UNARY_FOLDS[op];
  return { op, infer: (c) => [sameAs(c, 0, fold && mapKnown(c.known(0), fold))] };
}

/** The type of an input, handed on. */
export function sameAs(c: InferContext, index: number, known?: readonly Dim[]): Inferred {
  return { type: c.type(index), known };
}

function mapKnown(dims: readonly Dim[] | undefined, fold: (a: Dim) => Dim | undefined) {
  const mapped = dims?.map(fold);
  return mapped?.every((dim) => dim !== undefined) ? (mapped as Dim[]) : undefined;
}

define(
  ...[...ARITHMETIC, ...BITWISE].map((op) => variadic(op)),
  ...COMPARISONS.map((op) => variadic(op, 'bool')),
  ...SAME.map(unary),
  { op: 'IsNaN', infer: (c) => [tensor('bool', c.shape(0))] },
  { op: 'IsInf', infer: (c) => [tensor('bool', c.shape(0))] },
  { op: 'Pow', infer: (c) => [tensor(c.dtype(0), legacyBroadcast(c))] },
  // The slope is stretched to the data, never the other way round.
  { op: 'PRelu', infer: (c) => [sameAs(c, 0)] },
  {
    op: 'Where',
    infer: (c) => {
      const [condition, yes, no] = [0, 1, 2].map((i) =>
        (c.rank(i) ?? 2) > 1 ? undefined : c.known(i),
      );
      return [tensor(c.dtype(1) ?? c.dtype(2), broadcastInputs(c), choose(condition, yes, no))];
    },
  },
);

function choose(
  condition: readonly Dim[] | undefined,
  yes: readonly Dim[] | undefined,
  no: readonly Dim[] | undefined,
): readonly Dim[] | undefined {
  if (!condition || !yes || !no) return undefined;
  const at = (dims: readonly Dim[], i: number) => dims[dims.length === 1 ? 0 : i];
  const length = Math.max(condition.length, yes.length, no.length);
  const dims: Dim[] = [];
  for (let i = 0; i < length; i++) {
    const test = at(condition, i);
    const [a, b] = [at(yes, i), at(no, i)];
    if (a === undefined || b === undefined) return undefined;
    if (typeof test === 'number') dims.push(test !== 0 ? a : b);
    else if (sameDim(a, b)) dims.push(a);
    else return undefined;
  }
  return dims;
}
