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

/** Rounds each element of [rows, width] to the nearest code (RTN). */
export function roundRows(
  values: Float32Array,
  rows: number,
  width: number,
  scheme: BlockScheme,
): QuantizedRows | NotFinite {
  const { block } = scheme;
  const result = emptyRows(rows, width, scheme);
  const { blocks, codes, scales, zeroPoints } = result;
  const parameters = new BlockParameters(scheme);
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let b = 0; b < rows * blocks; b++) {
    const inRow = (b % blocks) * block;
    const start = Math.floor(b / blocks) * width + inRow;
    const end = start + Math.min(block, width - inRow);
    if (!parameters.measure(bits, start, end)) return firstNotFinite(values, start);
    const { scale, zeroPoint } = parameters;
    scales[b] = scale;
    zeroPoints[b] = zeroPoint;
    encode(values, start, end, scale, zeroPoint, scheme.bits, codes, b * block);
    if (end - start < block) codes.fill(zeroPoint, b * block + end - start, (b + 1) * block);
  }
  return result;
}

const INFINITY_BITS = 0x7f800000;

/** Scale and zero point of one block after the other. */
export class BlockParameters {
  scale = 0;
  zeroPoint = 0;
  readonly #top: number;
  readonly #symmetric: boolean;
  readonly #round: (scale: number) => number;
  readonly #floats = new Float32Array(2);
  readonly #bits = new Int32Array(this.#floats.buffer);

  constructor({ bits, symmetric, scaleType }: BlockScheme) {
    this.#top = 2 ** bits - 1;
    this.#symmetric = symmetric;
    this.#round = scaleRounder(scaleType);
  }

  /**
   * Takes the range of the floats with these bits; false where one of them is not finite. The bits of
   * floats of one sign are in the order of their magnitudes, and integers need no branches.
   */
  measure(bits: Int32Array, start: number, end: number): boolean {
    let high = 0;
    let low = 0;
    for (let i = start; i < end; i++) {
      const x = bits[i] as number;
      const negative = x >> 31;
      const aboveHigh = high - (x & ~negative);
      high -= aboveHigh & (aboveHigh >> 31);
      const belowLow = low - (x & 0x7fffffff & negative);
      low -= belowLow & (belowLow >> 31);
    }
    this.#bits[0] = high;
    this.#bits[1] = low;
    this.fit(-(this.#floats[1] as number), this.#floats[0] as number);
    return high < INFINITY_BITS && low < INFINITY_BITS;
  }

  fit(min: number, max: number): void {
    if (this.#symmetric) {
      const middle = (this.#top + 1) / 2;
      this.scale = this.#round((max > -min ? max : min) / -middle);
      this.zeroPoint = middle;
      return;
    }
    const exact = Math.fround(Math.fround(max - min) / this.#top);
    this.scale = this.#round(exact);
    const zero = exact === 0 ? min : Math.fround(-min / exact);
    this.zeroPoint = Math.min(this.#top, Math.max(0, Math.floor(zero + 0.5)));
  }
}

/** Codes of values[start … end) into codes[at …], calculated in single precision, halves away from 0. */
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
  const top = (1 << bits) - 1;
  const inverse = Math.fround(scale === 0 ? 0 : 1 / scale);
  const zero = Math.fround(zeroPoint);
  const shift = at - start;
  for (let i = start; i < end; i++) {
    const x = Math.fround(Math.fround((values[i] as number) * inverse) + zero);
    let code = (x + 0.5) | 0;
    code &= ~(code >> 31);
    const room = top - code;
    codes[i + shift] = code + (room & (room >> 31));
  }
}

function firstNotFinite(values: Float32Array, start: number): NotFinite {
  let i = start;
  while (Number.isFinite(values[i])) i += 1;
  return { notFinite: i };
}
