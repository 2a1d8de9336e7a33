// The elements of a tensor as numbers one can calculate with, whatever they are stored as: 16-bit
// floats widened, 8- and 4-bit floats decoded, packed 4- and 2-bit integers unpacked.
// Formats: ONNX specification, "Float stored in 8 bits", "4 bit types".

import { type DType, dtypeInfo, type TypedArray } from './dtype.ts';
import { bfloat16sToFloats, halvesToFloats } from './float16.ts';
import { type Tensor, viewOf } from './tensor.ts';

/**
 * The values of any tensor but strings, one array element per tensor element (two per complex).
 * 64-bit integers come as bigints.
 */
export function elementsOf(tensor: Tensor): TypedArray {
  return decodeElements(tensor.dtype, tensor.bytes(), tensor.size);
}

/** Elements as plain numbers, 64-bit integers among them. */
export function toNumbers(values: TypedArray): Float64Array {
  const isWide = values instanceof BigInt64Array || values instanceof BigUint64Array;
  return isWide ? Float64Array.from(values, Number) : new Float64Array(values);
}

/** The same over bytes; `count` is the number of tensor elements. */
export function decodeElements(dtype: DType, bytes: Uint8Array, count: number): TypedArray {
  const { bits, kind } = dtypeInfo(dtype);
  const values = viewOf(dtype, bytes);
  if (dtype === 'float16') return halvesToFloats(values as Uint16Array);
  if (dtype === 'bfloat16') return bfloat16sToFloats(values as Uint16Array);
  if (kind === 'float' && bits <= 8) {
    const table = smallFloatTable(dtype);
    const codes = bits === 8 ? bytes : unpack(bytes, count, bits);
    return Float32Array.from(codes, (code) => table[code] as number);
  }
  if (bits >= 8) return values;
  const codes = unpack(bytes, count, bits);
  if (kind === 'uint') return codes;
  const shift = 32 - bits;
  return Int8Array.from(codes, (code) => (code << shift) >> shift);
}

/** Elements of less than a byte, low bits first. */
function unpack(bytes: Uint8Array, count: number, bits: number): Uint8Array {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  const codes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const byte = bytes[Math.floor(i / perByte)] as number;
    codes[i] = (byte >> ((i % perByte) * bits)) & mask;
  }
  return codes;
}

interface SmallFloat {
  readonly exponent: number;
  readonly mantissa: number;
  readonly bias: number;
  /** `ieee`: infinities and NaNs; `fn`: one NaN, all ones; `fnuz`: one NaN, minus zero; `none`. */
  readonly special: 'ieee' | 'fn' | 'fnuz' | 'none';
}

const SMALL_FLOATS: Partial<Record<DType, SmallFloat>> = {
  float8e4m3fn: { exponent: 4, mantissa: 3, bias: 7, special: 'fn' },
  float8e4m3fnuz: { exponent: 4, mantissa: 3, bias: 8, special: 'fnuz' },
  float8e5m2: { exponent: 5, mantissa: 2, bias: 15, special: 'ieee' },
  float8e5m2fnuz: { exponent: 5, mantissa: 2, bias: 16, special: 'fnuz' },
  float4e2m1: { exponent: 2, mantissa: 1, bias: 1, special: 'none' },
};

const smallFloatTables = new Map<DType, Float32Array>();

function smallFloatTable(dtype: DType): Float32Array {
  let table = smallFloatTables.get(dtype);
  if (!table) {
    const format = SMALL_FLOATS[dtype];
    table = format
      ? Float32Array.from({ length: 2 ** (1 + format.exponent + format.mantissa) }, (_, code) =>
          decodeSmallFloat(code, format),
        )
      : // float8e8m0 is a bare exponent; all ones is NaN.
        Float32Array.from({ length: 256 }, (_, code) =>
          code === 255 ? Number.NaN : 2 ** (code - 127),
        );
    smallFloatTables.set(dtype, table);
  }
  return table;
}

function decodeSmallFloat(code: number, format: SmallFloat): number {
  const signBit = 1 << (format.exponent + format.mantissa);
  const magnitude = code & (signBit - 1);
  const sign = code & signBit ? -1 : 1;
  const exponent = magnitude >> format.mantissa;
  const fraction = magnitude & ((1 << format.mantissa) - 1);
  if (format.special === 'fnuz' && code === signBit) return Number.NaN;
  if (format.special === 'fn' && magnitude === signBit - 1) return Number.NaN;
  if (format.special === 'ieee' && exponent === (1 << format.exponent) - 1) {
    return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  }
  const scale = 2 ** (Math.max(exponent, 1) - format.bias - format.mantissa);
  return sign * scale * (exponent === 0 ? fraction : fraction + (1 << format.mantissa));
}
