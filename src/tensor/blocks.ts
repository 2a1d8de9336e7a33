// Blocks of weights that share a scale and a zero point: real = scale * (code - zeroPoint), codes
// unsigned, blocks along the rows of a matrix [rows, width]. Ranges as onnxruntime's own tools take
// them, so that rounding to nearest gives the same bytes: the range always holds 0; a symmetric one
// has its middle at 2^(bits - 1) and the element of largest magnitude at code 0.

import type { DType } from './dtype.ts';
import { bfloat16ToFloat, floatToBfloat16, floatToHalf, halfToFloat } from './float16.ts';

export type BlockBits = 2 | 4 | 8;

export interface BlockScheme {
  readonly bits: BlockBits;
  /** Elements that share a scale; the last block of a row may hold fewer. */
  readonly block: number;
  readonly symmetric: boolean;
  /** Scales are rounded to it before anything is divided by them. */
  readonly scaleType: DType;
}

export interface QuantizedRows {
  readonly rows: number;
  /** Blocks in a row. */
  readonly blocks: number;
  /** [rows, blocks * block], one code per byte; the rest of a last block holds the zero point. */
  readonly codes: Uint8Array;
  /** [rows, blocks] */
  readonly scales: Float32Array;
  /** [rows, blocks] */
  readonly zeroPoints: Uint8Array;
}

/** Where rounding stopped: the element is NaN or infinite. */
export interface NotFinite {
  readonly notFinite: number;
}

export function emptyRows(rows: number, width: number, { block }: BlockScheme): QuantizedRows {
  const blocks = Math.ceil(width / block);
  return {
    rows,
    blocks,
    codes: new Uint8Array(rows * blocks * block),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  };
}

/** A function that rounds a scale to what a type can hold, to the nearest. */
export function scaleRounder(type: DType): (scale: number) => number {
  if (type === 'float16') return (scale) => halfToFloat(floatToHalf(scale));
  if (type === 'bfloat16') return (scale) => bfloat16ToFloat(floatToBfloat16(scale));
  return Math.fround;
}

/** The smallest normal numbers: scales below them may be rounded by more than a little. */
const SMALLEST_NORMAL: Partial<Record<DType, number>> = { float16: 2 ** -14 };

/** Rounds each element of [rows, width] to the nearest code (RTN). */
export function roundRows(
  values: Float32Array,
  rows: number,
  width: number,
  scheme: BlockScheme,
): QuantizedRows | NotFinite {
  const { block, bits } = scheme;
  const result = emptyRows(rows, width, scheme);
  const { codes, scales, zeroPoints } = result;
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const parametersOf = fitter(scheme);
  const smallest = SMALLEST_NORMAL[scheme.scaleType] ?? 2 ** -126;
  for (let row = 0, b = 0, start = 0; row < rows; row++) {
    for (let left = width; left > 0; left -= block, b++) {
      const end = start + Math.min(block, left);
      if (!findRange(words, start, end)) return firstNotFinite(values, start);
      const { scale, zeroPoint } = parametersOf(-(extremes[1] as number), extremes[0] as number);
      scales[b] = scale;
      zeroPoints[b] = zeroPoint;
      if (Math.abs(scale) < smallest)
        encodeAny(values, start, end, scale, zeroPoint, bits, codes, b * block);
      else encode(values, start, end, scale, zeroPoint, bits, codes, b * block);
      if (left < block) codes.fill(zeroPoint, b * block + left, (b + 1) * block);
      start = end;
    }
  }
  return result;
}

/** The largest and the smallest float (without its sign) that `findRange` found, or 0. */
const extremes = new Float32Array(2);
const extremeWords = new Int32Array(extremes.buffer);
const INFINITY_WORD = 0x7f800000;

/**
 * Finds the range of the floats with these bits, 0 included; false where one of them is not finite.
 * The bits of floats of one sign are in the order of their magnitudes, and integers need no branches.
 */
export function findRange(words: Int32Array, start: number, end: number): boolean {
  let high = 0;
  let low = 0;
  for (let i = start; i < end; i++) {
    const x = words[i] as number;
    const negative = x >> 31;
    const aboveHigh = high - (x & ~negative);
    high -= aboveHigh & (aboveHigh >> 31);
    const belowLow = low - (x & 0x7fffffff & negative);
    low -= belowLow & (belowLow >> 31);
  }
  extremeWords[0] = high;
  extremeWords[1] = low;
  return high < INFINITY_WORD && low < INFINITY_WORD;
}

export interface Fit {
  scale: number;
  zeroPoint: number;
}

/** Scale and zero point for a range that holds 0; the object is reused. */
export function fitter({
  bits,
  symmetric,
  scaleType,
}: BlockScheme): (min: number, max: number) => Fit {
  const top = 2 ** bits - 1;
  const middle = (top + 1) / 2;
  const round = scaleRounder(scaleType);
  const fit: Fit = { scale: 0, zeroPoint: middle };
  if (symmetric) {
    return (min, max) => {
      fit.scale = round((max > -min ? max : min) / -middle);
      return fit;
    };
  }
  return (min, max) => {
    const exact = Math.fround(Math.fround(max - min) / top);
    fit.scale = round(exact);
    const zero = exact === 0 ? min : Math.fround(-min / exact);
    fit.zeroPoint = Math.min(top, Math.max(0, Math.floor(zero + 0.5)));
    return fit;
  };
}

/**
 * Codes of values[start … end) into codes[at …], calculated in single precision, halves away from 0.
 * The values are in the range that the scale was made for, so that they miss the codes by half a
 * step at most.
 */
export function encode(
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  zeroPoint: number,
  bits: BlockBits,
  codes: Uint8Array,
  at: number,
): void {
  const inverse = Math.fround(1 / scale);
  const zero = Math.fround(zeroPoint);
  const shift = at - start;
  for (let i = start; i < end; i++) {
    const x = Math.fround(Math.fround((values[i] as number) * inverse) + zero);
    const code = (x + 0.5) | 0;
    codes[i + shift] = code - (code >> bits);
  }
}

/** The same for values anywhere. */
export function encodeAny(
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  zeroPoint: number,
  bits: BlockBits,
  codes: Uint8Array,
  at: number,
): void {
  const top = (1 << bits) - 1;
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let i = start, c = at; i < end; i++, c++) {
    const x = Math.fround(Math.fround((values[i] as number) * inverse) + zeroPoint);
    codes[c] = Math.max(0, Math.min(top, Math.floor(x + 0.5)));
  }
}

function firstNotFinite(values: Float32Array, start: number): NotFinite {
  let i = start;
  while (Number.isFinite(values[i])) i += 1;
  return { notFinite: i };
}
