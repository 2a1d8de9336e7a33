// 16-bit floats and numbers: IEEE 754 binary16 and bfloat16, rounding to nearest, ties to even.
// Rounding is done once, straight from the double: going through float32 would round twice.

interface Format {
  /** Stored mantissa bits. */
  readonly mantissa: number;
  readonly minExponent: number;
  readonly maxExponent: number;
}

const HALF: Format = { mantissa: 10, minExponent: -14, maxExponent: 15 };
const BFLOAT: Format = { mantissa: 7, minExponent: -126, maxExponent: 127 };

/** Adding and subtracting 2^52 rounds 0 <= x < 2^52 to the nearest integer, ties to even. */
const ROUND = 2 ** 52;

const double = new Float64Array(1);
const doubleWords = new Uint32Array(double.buffer);
const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

export function floatToHalf(value: number): number {
  return encode(value, HALF);
}

export function floatToBfloat16(value: number): number {
  return encode(value, BFLOAT);
}

/** value = q * 2^(e - mantissa) with q in [2^mantissa, 2^(mantissa + 1)), or less at the smallest e. */
function encode(value: number, { mantissa, minExponent, maxExponent }: Format): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const infinity = (maxExponent - minExponent + 2) << mantissa;
  if (Number.isNaN(value)) return infinity | (1 << (mantissa - 1));
  double[0] = Math.abs(value);
  const exponent = ((doubleWords[1] as number) >>> 20) - 1023;
  if (exponent > maxExponent) return sign | infinity;
  const e = Math.max(exponent, minExponent);
  const q = Math.abs(value) * 2 ** (mantissa - e) + ROUND - ROUND;
  // A mantissa that rounds up to the next power of two carries into the exponent by itself.
  return sign | (((e - minExponent) << mantissa) + q);
}

export function bfloat16ToFloat(bits: number): number {
  singleBits[0] = bits << 16;
  return single[0] as number;
}

export function halfToFloat(bits: number): number {
  return halfTable()[bits] as number;
}

/** Every value of binary16, by its bits. */
function halfTable(): Float32Array {
  table ??= Float32Array.from({ length: 0x10000 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (0x400 + fraction) * 2 ** (exponent - 25);
  });
  return table;
}
let table: Float32Array | undefined;

export function halvesToFloats(bits: Uint16Array): Float32Array {
  const values = halfTable();
  return Float32Array.from(bits, (b) => values[b] as number);
}

export function bfloat16sToFloats(bits: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (b) => b << 16).buffer);
}

export function floatsToHalves(values: ArrayLike<number>): Uint16Array {
  return values instanceof Float32Array
    ? singlesToHalves(values)
    : Uint16Array.from(values, floatToHalf);
}

export function floatsToBfloat16s(values: ArrayLike<number>): Uint16Array {
  return values instanceof Float32Array
    ? singlesToBfloat16s(values)
    : Uint16Array.from(values, floatToBfloat16);
}

/** Bits to bits, as weights come in millions. Signed integers, as those stay out of the heap. */
function singlesToHalves(values: Float32Array): Uint16Array {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const whole = bits[i] as number;
    const x = whole & 0x7fffffff;
    const sign = (whole >>> 16) & 0x8000;
    // From 2^-14 to 2^16: another bias of the exponent; what is added rounds the 13 bits that go.
    if (x >= 0x38800000 && x < 0x47800000) {
      result[i] = sign | ((x - 0x38000000 + 0xfff + ((x >>> 13) & 1)) >>> 13);
    } else if (x > 0x33000000) result[i] = sign | outerHalf(x);
    else result[i] = sign;
  }
  return result;
}

/** The bits of subnormal, infinite and undefined halves; `x` are those of a float32 above 2^-25. */
function outerHalf(x: number): number {
  if (x >= 0x47800000) return x > 0x7f800000 ? 0x7e00 : 0x7c00;
  // A whole number of 2^-24.
  const shift = 126 - (x >>> 23);
  const mantissa = (x & 0x7fffff) | 0x800000;
  const q = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  return rest > middle || (rest === middle && q & 1) ? q + 1 : q;
}

/** The upper half of the bits, rounded. */
function singlesToBfloat16s(values: Float32Array): Uint16Array {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i] as number;
    const hasNoValue = (x & 0x7fffffff) > 0x7f800000;
    result[i] = hasNoValue ? ((x >>> 16) & 0x8000) | 0x7fc0 : (x + 0x7fff + ((x >>> 16) & 1)) >> 16;
  }
  return result;
}
