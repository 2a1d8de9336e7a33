// Arithmetic on the elements of small integer tensors, as far as inference knows them: sizes on their
// way from Shape to Reshape. Passes put constants in the place of what is known, so every rule must be
// exactly what the operator computes; an element that cannot be said is an unknown one, and the others
// stay.

import {
  add,
  type Dim,
  floorDiv,
  isNonNegative,
  isUnknown,
  max,
  min,
  mul,
  sameDim,
  sub,
  truncDiv,
  unknownElement,
} from '../graph/index.ts';
import { type DType, dtypeInfo, isInteger } from '../tensor/dtype.ts';
import type { InferContext } from './context.ts';

export type Elements = readonly Dim[];
export type Fold = (a: Dim, b: Dim) => Dim | undefined;

/** What operators of two integer inputs, or of any number of them, do to elements. */
export const FOLDS: Readonly<Record<string, Fold>> = {
  Add: add,
  Sub: sub,
  Mul: mul,
  Div: truncDiv,
  Min: min,
  Max: max,
  Equal: (a, b) => (sameDim(a, b) ? 1 : isAbove(a, b) || isAbove(b, a) ? 0 : undefined),
  Greater: (a, b) => truth(isAbove(a, b)),
  Less: (a, b) => truth(isAbove(b, a)),
  GreaterOrEqual: (a, b) => truth(not(isAbove(b, a))),
  LessOrEqual: (a, b) => truth(not(isAbove(a, b))),
  And: (a, b) => (a === 0 || b === 0 ? 0 : a === 1 ? b : b === 1 ? a : undefined),
  Or: (a, b) => (a === 1 || b === 1 ? 1 : a === 0 ? b : b === 0 ? a : undefined),
  Xor: (a, b) => (typeof a === 'number' && typeof b === 'number' ? a ^ b : undefined),
};

/** What operators of one input do to elements. */
export const UNARY_FOLDS: Readonly<Record<string, (a: Dim) => Dim | undefined>> = {
  Neg: (a) => mul(a, -1),
  Abs: (a) => max(a, mul(a, -1)),
  Sign: (a) => (typeof a === 'number' ? Math.sign(a) : isNonNegative(sub(a, 1)) ? 1 : undefined),
  Not: (a) => (typeof a === 'number' ? Number(a === 0) : undefined),
  Ceil: (a) => a,
  Floor: (a) => a,
  Relu: (a) => max(a, 0),
  Round: (a) => a,
};

/** The remainder has the sign of the divisor, or with fmod, as in C, that of the dividend. */
export function remainder(isC: boolean): Fold {
  return (a, b) => {
    if (b === 0) return undefined;
    const quotient = isC ? truncDiv(a, b) : wholeDiv(a, b);
    return quotient === undefined ? undefined : sub(a, mul(quotient, b));
  };
}

function wholeDiv(a: Dim, b: Dim): Dim | undefined {
  return typeof b === 'number' || isNonNegative(b) ? floorDiv(a, b) : undefined;
}

function isAbove(a: Dim, b: Dim): boolean | undefined {
  const difference = sub(a, b);
  if (isNonNegative(sub(difference, 1))) return true;
  return isNonNegative(mul(difference, -1)) ? false : undefined;
}

function not(value: boolean | undefined): boolean | undefined {
  return value === undefined ? undefined : !value;
}

function truth(value: boolean | undefined): Dim | undefined {
  return value === undefined ? undefined : Number(value);
}

/** Applies `fold` over all inputs, element by element, scalars repeated. */
export function foldKnown(c: InferContext, fold: Fold): Elements | undefined {
  let result: Elements | undefined;
  for (let i = 0; i < c.inputCount; i++) {
    // Matrices are repeated along axes, which a list of elements cannot tell.
    const next = (c.rank(i) ?? 2) > 1 ? undefined : c.known(i);
    if (!next) return undefined;
    result = result ? zip(result, next, fold) : next;
    if (!result) return undefined;
  }
  return result;
}

function zip(a: Elements, b: Elements, fold: Fold): Elements | undefined {
  const length = a.length === 1 ? b.length : a.length;
  if (b.length !== 1 && b.length !== length) return undefined;
  return Array.from({ length }, (_, i) => {
    const [x, y] = [at(a, i), at(b, i)];
    const isExact = isSafe(x) && isSafe(y);
    return (isExact ? fold(x, y) : undefined) ?? unknownElement();
  });
}

function at(dims: Elements, i: number): Dim {
  return dims[dims.length === 1 ? 0 : i] as Dim;
}

/** "To the end" is written as the largest integer, which a number does not hold exactly. */
function isSafe(dim: Dim): boolean {
  return typeof dim !== 'number' || Number.isSafeInteger(dim);
}

export function mapKnown(
  dims: Elements | undefined,
  fold: (a: Dim) => Dim | undefined,
): Elements | undefined {
  return dims?.map((dim) => (isSafe(dim) ? fold(dim) : undefined) ?? unknownElement());
}

/** Where: what is chosen, or is the same either way. */
export function chooseKnown(c: InferContext): Elements | undefined {
  const inputs = [0, 1, 2].map((i) => ((c.rank(i) ?? 2) > 1 ? undefined : c.known(i)));
  const [condition, yes, no] = inputs;
  if (!condition || !yes || !no) return undefined;
  const empty = inputs.some((dims) => dims?.length === 0);
  const length = empty ? 0 : Math.max(condition.length, yes.length, no.length);
  return Array.from({ length }, (_, i) => {
    const [test, a, b] = [at(condition, i), at(yes, i), at(no, i)];
    if (typeof test === 'number') return test !== 0 ? a : b;
    return sameDim(a, b) ? a : unknownElement();
  });
}

/** Every number is one of the type: results wrap around beyond it. Nothing when all is unknown. */
export function within(dtype: DType | undefined, dims: Elements | undefined): Elements | undefined {
  if (!dims || !dtype) return undefined;
  const [low, high] = rangeOf(dtype);
  const kept = dims.map((dim) => {
    if (typeof dim === 'number') return dim >= low && dim <= high ? dim : unknownElement();
    return high < WIDE && !isUnknown(dim) ? unknownElement() : dim;
  });
  return kept.length > 0 && kept.every(isBare) ? undefined : kept;
}

/** Sizes are expected to fit a type that holds this much. */
const WIDE = 2 ** 24;

/** The integers that a type holds exactly, as far as numbers do. */
function rangeOf(dtype: DType): readonly [number, number] {
  const { bits, kind } = dtypeInfo(dtype);
  // Beyond 2^53 only "to the end" occurs, which is handed on as it is.
  if (isInteger(dtype) && bits === 64) return [kind === 'uint' ? 0 : -(2 ** 63), 2 ** 64];
  if (kind === 'uint') return [0, 2 ** bits - 1];
  if (kind === 'int') return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  if (dtype === 'float32') return [-WIDE, WIDE];
  if (dtype === 'float64') return [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  return kind === 'bool' ? [0, WIDE] : [1, 0];
}

/** An unknown element and nothing more; a size without a name is told from others, at least. */
function isBare(dim: Dim): boolean {
  return typeof dim !== 'number' && /^\?\d+$/.test(dim.key) && !isNonNegative(dim);
}

/** Whether this is what was put for an element nothing is known about. */
export function isOpen(dim: Dim): boolean {
  return typeof dim !== 'number' && isUnknown(dim) && !isNonNegative(dim);
}

/** The elements of input `index`, unknown ones where it is a short vector of them. */
export function elementsOrOpen(c: InferContext, index: number): Elements | undefined {
  const known = c.known(index);
  const [length] = c.rank(index) === 1 ? (c.shape(index) ?? []) : [];
  const dtype = c.dtype(index);
  if (known || typeof length !== 'number' || length > MAX_OPEN || !dtype) return known;
  return isInteger(dtype) ? Array.from({ length }, unknownElement) : undefined;
}

/** More than this is no shape. */
const MAX_OPEN = 16;
