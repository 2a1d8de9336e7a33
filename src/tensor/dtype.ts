// Element types of tensors: name, ONNX code (TensorProto.DataType), width in bits, JavaScript array.

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

interface TypedArrayConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TypedArray;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): TypedArray;
}

type Kind = 'float' | 'int' | 'uint' | 'bool' | 'string' | 'complex';

interface DTypeRow {
  readonly code: number;
  /** Width of one element; 0 for strings. Sub-byte elements are packed, low bits first. */
  readonly bits: number;
  readonly kind: Kind;
  /** What `Tensor.values()` returns; 16-bit floats and everything narrower arrive as raw bits. */
  readonly array: TypedArrayConstructor;
}

const ROWS = {
  float32: { code: 1, bits: 32, kind: 'float', array: Float32Array },
  uint8: { code: 2, bits: 8, kind: 'uint', array: Uint8Array },
  int8: { code: 3, bits: 8, kind: 'int', array: Int8Array },
  uint16: { code: 4, bits: 16, kind: 'uint', array: Uint16Array },
  int16: { code: 5, bits: 16, kind: 'int', array: Int16Array },
  int32: { code: 6, bits: 32, kind: 'int', array: Int32Array },
  int64: { code: 7, bits: 64, kind: 'int', array: BigInt64Array },
  string: { code: 8, bits: 0, kind: 'string', array: Uint8Array },
  bool: { code: 9, bits: 8, kind: 'bool', array: Uint8Array },
  float16: { code: 10, bits: 16, kind: 'float', array: Uint16Array },
  float64: { code: 11, bits: 64, kind: 'float', array: Float64Array },
  uint32: { code: 12, bits: 32, kind: 'uint', array: Uint32Array },
  uint64: { code: 13, bits: 64, kind: 'uint', array: BigUint64Array },
  complex64: { code: 14, bits: 64, kind: 'complex', array: Float32Array },
  complex128: { code: 15, bits: 128, kind: 'complex', array: Float64Array },
  bfloat16: { code: 16, bits: 16, kind: 'float', array: Uint16Array },
  float8e4m3fn: { code: 17, bits: 8, kind: 'float', array: Uint8Array },
  float8e4m3fnuz: { code: 18, bits: 8, kind: 'float', array: Uint8Array },
  float8e5m2: { code: 19, bits: 8, kind: 'float', array: Uint8Array },
  float8e5m2fnuz: { code: 20, bits: 8, kind: 'float', array: Uint8Array },
  uint4: { code: 21, bits: 4, kind: 'uint', array: Uint8Array },
  int4: { code: 22, bits: 4, kind: 'int', array: Uint8Array },
  float4e2m1: { code: 23, bits: 4, kind: 'float', array: Uint8Array },
  float8e8m0: { code: 24, bits: 8, kind: 'float', array: Uint8Array },
  uint2: { code: 25, bits: 2, kind: 'uint', array: Uint8Array },
  int2: { code: 26, bits: 2, kind: 'int', array: Uint8Array },
} as const satisfies Record<string, DTypeRow>;

export type DType = keyof typeof ROWS;

export const DTYPES = Object.keys(ROWS) as readonly DType[];

const BY_CODE = new Map<number, DType>(DTYPES.map((dtype) => [ROWS[dtype].code, dtype]));

/** The type of an ONNX data type code; undefined for a code this version does not know. */
export function dtypeOf(code: number): DType | undefined {
  return BY_CODE.get(code);
}

export function dtypeCode(dtype: DType): number {
  return ROWS[dtype].code;
}

export function dtypeInfo(dtype: DType): DTypeRow {
  return ROWS[dtype];
}

/** Bytes of `count` packed elements; strings have no fixed size and count as 0. */
export function byteLengthOf(dtype: DType, count: number): number {
  return Math.ceil((count * ROWS[dtype].bits) / 8);
}

export function isFloat(dtype: DType): boolean {
  return ROWS[dtype].kind === 'float';
}

export function isInteger(dtype: DType): boolean {
  return ROWS[dtype].kind === 'int' || ROWS[dtype].kind === 'uint';
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, dim) => count * dim, 1);
}
