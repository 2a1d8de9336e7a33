// A tensor: element type, shape, and where its bytes come from. Bytes are read, or computed, when
// someone needs them, one tensor at a time. Tensors are immutable.

import assert from 'node:assert/strict';
import { byteLengthOf, type DType, dtypeInfo, elementCount, type TypedArray } from './dtype.ts';

/**
 * Where the little-endian, packed bytes of a tensor come from.
 * `read` returns `length` bytes at `offset` of the tensor's own bytes.
 */
export interface ByteSource {
  readonly byteLength: number;
  read(offset: number, length: number): Uint8Array;
  /** The same into memory that is there: fills all of `into`. */
  readInto?(offset: number, into: Uint8Array): void;
}

/** Bytes that exist only once they are computed from other tensors (a quantised weight, say). */
export interface DerivedSource {
  readonly byteLength: number;
  compute(): Promise<Uint8Array>;
}

/** String tensors keep each element's raw bytes: ONNX does not promise UTF-8. */
export interface StringSource {
  readonly strings: readonly Uint8Array[];
}

export type TensorSource = ByteSource | DerivedSource | StringSource;

const CHUNK_BYTES = 8 << 20;

export class Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly source: TensorSource;
  /** What the file format has to keep beside the data; owned by `onnx/`. */
  readonly origin: unknown;

  constructor(dtype: DType, shape: readonly number[], source: TensorSource, origin?: unknown) {
    this.dtype = dtype;
    this.shape = shape;
    this.source = source;
    this.origin = origin;
  }

  /** A tensor over values in memory; the array is kept, not copied, and must not change. */
  static of(
    dtype: DType,
    shape: readonly number[],
    values: ArrayLike<number> | TypedArray,
  ): Tensor {
    const bytes = toBytes(dtype, values);
    assert.equal(bytes.byteLength, byteLengthOf(dtype, elementCount(shape)), `${dtype} [${shape}]`);
    return new Tensor(dtype, shape, new MemorySource(bytes));
  }

  static fromBytes(dtype: DType, shape: readonly number[], bytes: Uint8Array): Tensor {
    return new Tensor(dtype, shape, new MemorySource(bytes));
  }

  static strings(shape: readonly number[], strings: readonly Uint8Array[]): Tensor {
    return new Tensor('string', shape, { strings });
  }

  static scalar(dtype: DType, value: number): Tensor {
    return Tensor.of(dtype, [], [value]);
  }

  static int64(values: readonly number[]): Tensor {
    return Tensor.of('int64', [values.length], values);
  }

  get size(): number {
    return elementCount(this.shape);
  }

  get byteLength(): number {
    if ('strings' in this.source) return this.source.strings.reduce((sum, s) => sum + s.length, 0);
    return this.source.byteLength;
  }

  get isDerived(): boolean {
    return 'compute' in this.source;
  }

  /** All bytes at once. Throws for derived tensors: `await load()` those. */
  bytes(): Uint8Array {
    assert('read' in this.source, `bytes of a ${this.isDerived ? 'derived' : 'string'} tensor`);
    return this.source.read(0, this.source.byteLength);
  }

  /** All bytes at once, from any source but strings. */
  async load(): Promise<Uint8Array> {
    return 'compute' in this.source ? this.source.compute() : this.bytes();
  }

  /** The bytes in pieces of at most 8 MiB, so that a writer never holds a whole tensor. */
  async *chunks(): AsyncIterable<Uint8Array> {
    if (!('read' in this.source)) {
      yield await this.load();
      return;
    }
    for (let at = 0; at < this.source.byteLength; at += CHUNK_BYTES) {
      yield this.source.read(at, Math.min(CHUNK_BYTES, this.source.byteLength - at));
    }
  }

  /** The elements as a typed array (see `dtypeInfo(dtype).array`); read-only by convention. */
  values(): TypedArray {
    return viewOf(this.dtype, this.bytes());
  }

  /** The elements of an integer, boolean or float32/64 tensor as plain numbers. */
  numbers(): number[] {
    assert(this.dtype !== 'float16' && this.dtype !== 'bfloat16', `numbers() of ${this.dtype}`);
    return Array.from(this.values() as ArrayLike<number | bigint>, Number);
  }

  /** The same data under another shape of equal size. */
  reshape(shape: readonly number[]): Tensor {
    assert.equal(elementCount(shape), this.size, `reshape [${this.shape}] to [${shape}]`);
    return new Tensor(this.dtype, shape, this.source);
  }
}

/** A typed array over bytes, copied first when they are not aligned for it. */
export function viewOf(dtype: DType, bytes: Uint8Array): TypedArray {
  const { array } = dtypeInfo(dtype);
  // A copy by construction: the `slice` of a Buffer is a view.
  const isAligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0;
  const aligned = isAligned ? bytes : new Uint8Array(bytes);
  const length = Math.floor(aligned.byteLength / array.BYTES_PER_ELEMENT);
  return new array(aligned.buffer, aligned.byteOffset, length);
}

class MemorySource implements ByteSource {
  readonly memory: Uint8Array;

  constructor(memory: Uint8Array) {
    this.memory = memory;
  }

  get byteLength(): number {
    return this.memory.byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    return this.memory.subarray(offset, offset + length);
  }
}

function toBytes(dtype: DType, values: ArrayLike<number> | TypedArray): Uint8Array {
  const { array, bits } = dtypeInfo(dtype);
  if (values instanceof array) {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
  assert(bits >= 8, `pack ${dtype} before making a tensor of it`);
  const typed = new array(values.length);
  const wide = typed instanceof BigInt64Array || typed instanceof BigUint64Array;
  for (let i = 0; i < values.length; i++) {
    typed[i] = (wide ? BigInt(values[i] as number) : values[i]) as never;
  }
  return new Uint8Array(typed.buffer);
}
