// Operators that make tensors or change their element type: Constant, Range, Cast, EyeLike …

import { ceilDiv, type Dim, isNonNegative, max, mul, sub, unknownDim } from '../graph/index.ts';
import { type DType, dtypeOf, isInteger } from '../tensor/dtype.ts';
import { passAxes, unaryAxes } from './axes/same.ts';
import { filledAxes } from './axes/slicing.ts';
import { resizeTarget } from './axes/target.ts';
import { constantData, type InferContext } from './context.ts';
import { mapKnown } from './known.ts';
import { define, type Inferred, tensor } from './op.ts';
import { roundedElements } from './ratio.ts';

/** Longer ones are data, not shapes. */
const MAX_KNOWN = 1024;

function constant(c: InferContext): Inferred {
  const { node } = c;
  const data = constantData(node.output);
  if (data)
    return tensor(
      data.dtype,
      data.shape,
      integersOf(data.dtype, data.shape, () => data.numbers()),
    );
  const strings = node.strings('value_strings');
  if (strings) return tensor('string', [strings.length]);
  if (node.string('value_string') !== undefined) return tensor('string', []);
  return { type: undefined };
}

function integersOf(dtype: DType, shape: readonly number[], read: () => number[]) {
  const small = shape.length === 0 || (shape.length === 1 && (shape[0] ?? 0) <= MAX_KNOWN);
  return small && (isInteger(dtype) || dtype === 'bool') ? read() : undefined;
}

function constantOfShape(c: InferContext): Inferred {
  const value = c.node.tensor('value');
  const rank = c.shape(0)?.[0];
  const shape =
    c.known(0) ?? (typeof rank === 'number' ? Array.from({ length: rank }, unknownDim) : undefined);
  const [length] = shape ?? [];
  const short = shape?.length === 1 && typeof length === 'number' && length <= MAX_KNOWN;
  const known =
    short && value && isInteger(value.dtype)
      ? new Array<Dim>(length as number).fill(value.numbers()[0] ?? 0)
      : undefined;
  return tensor(value?.dtype ?? 'float32', shape, known);
}

/** The one element of an input: an integer, a size, or a constant float. */
function scalar(c: InferContext, index: number): Dim | undefined {
  const [known] = c.known(index) ?? [];
  if (known !== undefined) return known;
  const data = c.constant(index);
  const float = data?.dtype === 'float32' || data?.dtype === 'float64';
  return float && data.size === 1 ? data.numbers()[0] : undefined;
}

/** ceil((limit - start) / delta) elements. */
function range(c: InferContext): Inferred {
  const [start, limit, delta] = [scalar(c, 0), scalar(c, 1), scalar(c, 2)];
  if (start === undefined || limit === undefined || typeof delta !== 'number' || delta === 0) {
    return tensor(c.dtype(0), [unknownDim()]);
  }
  // The algebra of sizes knows no fractions.
  const isStatic = typeof start === 'number' && typeof limit === 'number';
  if (!isStatic && [start, limit, delta].some((x) => typeof x === 'number' && x % 1 !== 0)) {
    return tensor(c.dtype(0), [unknownDim()]);
  }
  const span = delta > 0 ? sub(limit, start) : sub(start, limit);
  const length = max(ceilDiv(span, Math.abs(delta)), 0);
  const whole = Number.isInteger(start) && Number.isInteger(delta);
  const known =
    whole && typeof start === 'number' && typeof length === 'number' && length <= MAX_KNOWN
      ? Array.from({ length }, (_, i) => start + i * delta)
      : undefined;
  return tensor(c.dtype(0), [length], known);
}

/** `to` was a name until opset 5. */
function castTarget(c: InferContext): DType | undefined {
  const code = c.node.int('to');
  if (code !== undefined) return dtypeOf(code);
  const old: Record<string, DType> = { FLOAT: 'float32', DOUBLE: 'float64' };
  const name = c.node.string('to', '').toUpperCase();
  return old[name] ?? (name ? (name.toLowerCase() as DType) : undefined);
}

/** Sizes survive a detour through floats: exporters scale shapes that way. */
function cast(c: InferContext, target: DType | undefined): Inferred {
  const known = c.known(0);
  if (target === 'bool') return tensor(target, c.shape(0), mapKnown(known, isTrue));
  if (target !== undefined && isInteger(target)) {
    const whole = known ?? roundedElements(c.node.inputs[0], 'truncate');
    return tensor(target, c.shape(0), whole);
  }
  return tensor(target, c.shape(0), known);
}

/** 1 for what is not 0; a size may be. */
function isTrue(dim: Dim): Dim | undefined {
  if (typeof dim === 'number') return Number(dim !== 0);
  return isNonNegative(sub(dim, 1)) || isNonNegative(sub(mul(dim, -1), 1)) ? 1 : undefined;
}

function likeDtype(c: InferContext): DType | undefined {
  const code = c.node.int('dtype');
  return code === undefined ? c.dtype(0) : dtypeOf(code);
}

define(
  { op: 'Constant', infer: (c) => [constant(c)], cost: () => 0 },
  {
    op: 'ConstantOfShape',
    infer: (c) => [constantOfShape(c)],
    cost: () => 0,
    axes: filledAxes,
    resize: resizeTarget(0),
    shapeInput: 0,
  },
  { op: 'Range', infer: (c) => [range(c)], cost: () => 0 },
  { op: 'Cast', infer: (c) => [cast(c, castTarget(c))], axes: unaryAxes },
  { op: 'CastLike', infer: (c) => [cast(c, c.dtype(1))], axes: (l) => passAxes(l) },
  { op: 'BitCast', infer: (c) => [tensor(castTarget(c), c.shape(0))] },
  { op: 'EyeLike', infer: (c) => [tensor(likeDtype(c), c.shape(0))], cost: () => 0 },
);
