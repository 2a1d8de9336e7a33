// The affine map of integer quantisation, real = scale * (q - zeroPoint): choosing its parameters and
// applying it to whole arrays. ONNX specification, QuantizeLinear; conventions of onnxruntime's own
// tools, so that the same data gives the same scales: the range always holds 0, a symmetric int8 range
// is -127 … 127, a reduced one loses a bit.

import type { DType } from './dtype.ts';

export type QuantizedType =
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int4'
  | 'uint4'
  | 'int2'
  | 'uint2';

export interface Range {
  readonly min: number;
  readonly max: number;
}

export interface AffineOptions {
  readonly type: QuantizedType;
  readonly symmetric: boolean;
  /** One bit less, so that u8 times s8 products do not saturate on AVX2 without VNNI. */
  readonly reduceRange?: boolean;
}

export interface Affine {
  readonly scale: number;
  readonly zeroPoint: number;
}

const BITS: Readonly<Record<QuantizedType, number>> = {
  int8: 8,
  uint8: 8,
  int16: 16,
  uint16: 16,
  int4: 4,
  uint4: 4,
  int2: 2,
  uint2: 2,
};

/** The smallest and the largest integer in use. */
export function integerRange({ type, symmetric, reduceRange }: AffineOptions): Range {
  const bits = BITS[type];
  if (!type.startsWith('u')) {
    const half = 2 ** (bits - 1);
    if (reduceRange) return { min: -half / 2, max: half / 2 };
    return { min: symmetric ? 1 - half : -half, max: half - 1 };
  }
  return { min: 0, max: 2 ** (reduceRange ? bits - 1 : bits) - 1 };
}

/** The smallest normal float32. */
const TINY = 2 ** -126;

/** Scale (rounded to float32) and zero point with which every real in the range has an integer. */
export function affineOf(range: Range, options: AffineOptions): Affine {
  const q = integerRange(options);
  let min = Math.fround(Math.min(range.min, 0));
  let max = Math.fround(Math.max(range.max, 0));
  if (options.symmetric) {
    max = Math.max(-min, max);
    min = -max;
  }
  const exact = Math.fround(max - min) / (q.max - q.min);
  const isEmpty = !(exact >= TINY);
  // All channels of a symmetric weight have one zero point, those without a range, too.
  const middle = options.symmetric ? (q.min + q.max) / 2 : isEmpty ? 0 : q.min - min / exact;
  if (isEmpty) return { scale: 1, zeroPoint: roundHalfEven(middle) };
  return { scale: Math.fround(exact), zeroPoint: roundHalfEven(middle) };
}

/** Adding and taking away 1.5 · 2^52 rounds to the nearest whole number, halves to the even one. */
const ROUNDER = 2 ** 52 * 1.5;

export function roundHalfEven(x: number): number {
  return x + ROUNDER - ROUNDER;
}

/** Whether a type is one of those that hold quantised integers. */
export function isQuantized(dtype: DType | undefined): boolean {
  return dtype !== undefined && (dtype in BITS || dtype.startsWith('float8'));
}
