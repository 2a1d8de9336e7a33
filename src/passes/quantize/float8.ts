// Float8 as ONNX has it: E4M3FN (no infinity, largest 448) and E5M2 (largest 57344). Values are rounded
// to the nearest, halves to the even code, and saturate. Micikevicius et al., FP8 Formats for Deep
// Learning, 2022.

import type { Affine, Range } from '../../tensor/affine.ts';

export type Float8Type = 'float8e4m3fn' | 'float8e5m2';

interface Format {
  readonly mantissa: number;
  readonly bias: number;
  readonly max: number;
  /** Codes of positive finite numbers, 0 included. */
  readonly finite: number;
}

const FORMATS: Readonly<Record<Float8Type, Format>> = {
  float8e4m3fn: { mantissa: 3, bias: 7, max: 448, finite: 0x7f },
  float8e5m2: { mantissa: 2, bias: 15, max: 57344, finite: 0x7c },
};

const values = new Map<Float8Type, Float64Array>();

/** The positive numbers of a format by their codes. */
function positives(type: Float8Type): Float64Array {
  const known = values.get(type);
  if (known) return known;
  const { mantissa, bias, finite } = FORMATS[type];
  const steps = 2 ** mantissa;
  const made = Float64Array.from({ length: finite }, (_, code) => {
    const exponent = Math.floor(code / steps);
    const fraction = (code % steps) / steps;
    return exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
  });
  values.set(type, made);
  return made;
}

export const Float8 = {
  /** The scale with which the largest magnitude is the largest number; the zero point is 0. */
  affine(type: Float8Type, { min, max }: Range): Affine {
    const largest = Math.max(Math.abs(min), Math.abs(max));
    const scale = Math.fround(largest / FORMATS[type].max);
    return { scale: scale > 0 ? scale : 1, zeroPoint: 0 };
  },

  encode(type: Float8Type, value: number): number {
    const table = positives(type);
    const size = Math.min(Math.abs(value), FORMATS[type].max);
    let low = 0;
    let high = table.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((table[middle] as number) <= size) low = middle;
      else high = middle;
    }
    const [below, above] = [size - (table[low] as number), (table[high] as number) - size];
    const isTie = below === above;
    const code = isTie ? (low % 2 === 0 ? low : high) : below < above ? low : high;
    return value < 0 || Object.is(value, -0) ? code | 0x80 : code;
  },

  decode(type: Float8Type, code: number): number {
    const size = positives(type)[code & 0x7f] ?? Number.NaN;
    return code & 0x80 ? -size : size;
  },
};
