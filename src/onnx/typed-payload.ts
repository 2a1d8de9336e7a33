// Payloads in the typed fields of TensorProto (float_data, int32_data, int64_data …), as the packed
// little-endian bytes that raw_data would have. Decoded when someone reads them, and kept until its
// end is read, so that reading piece by piece decodes once.

import { type DType, dtypeInfo } from '../tensor/dtype.ts';
import type { ByteSource, StringSource } from '../tensor/tensor.ts';
import { TENSOR } from './fields.ts';
import { BYTES, broken, FIXED32, FIXED64, readBytes, Scanner, type Span, VARINT } from './wire.ts';

const FIXED_BYTES: Readonly<Record<number, number>> = {
  [TENSOR.float_data]: 4,
  [TENSOR.double_data]: 8,
};

/** The typed field that holds elements of a type, by the comments in onnx.proto. */
export function payloadFieldOf(dtype: DType): number {
  switch (dtype) {
    case 'float32':
    case 'complex64':
      return TENSOR.float_data;
    case 'float64':
    case 'complex128':
      return TENSOR.double_data;
    case 'int64':
      return TENSOR.int64_data;
    case 'uint32':
    case 'uint64':
      return TENSOR.uint64_data;
    case 'string':
      return TENSOR.string_data;
    default:
      return TENSOR.int32_data;
  }
}

let last: { of: TypedPayload; bytes: Uint8Array } | undefined;

export class TypedPayload implements ByteSource {
  readonly #message: Span;
  readonly #field: number;
  readonly #width: number;
  #byteLength: number | undefined;

  constructor(message: Span, field: number, dtype: DType) {
    this.#message = message;
    this.#field = field;
    // Elements narrower than a byte come packed, a byte in each int32.
    this.#width = Math.max(1, Math.min(8, dtypeInfo(dtype).bits / 8));
  }

  get byteLength(): number {
    this.#byteLength ??= this.#countBytes();
    return this.#byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    const isEnd = offset + length >= this.byteLength;
    const bytes = last?.of === this ? last.bytes : this.#decode();
    last = isEnd ? undefined : { of: this, bytes };
    return bytes.subarray(offset, offset + length);
  }

  *#parts(): Generator<Scanner> {
    const fixed = FIXED_BYTES[this.#field];
    const scan = new Scanner(this.#message, 'TensorProto');
    while (scan.next()) {
      if (scan.number !== this.#field) continue;
      scan.expect(BYTES, fixed === undefined ? VARINT : fixed === 4 ? FIXED32 : FIXED64);
      yield scan;
    }
  }

  #countBytes(): number {
    const fixed = FIXED_BYTES[this.#field];
    let bytes = 0;
    for (const part of this.#parts()) {
      bytes += fixed ? part.end - part.start : countVarints(part) * this.#width;
    }
    return bytes;
  }

  #decode(): Uint8Array {
    const fixed = FIXED_BYTES[this.#field];
    const bytes = new Uint8Array(this.byteLength);
    let at = 0;
    for (const part of this.#parts()) {
      if (fixed) {
        bytes.set(part.source.view(part.start, part.end), at);
        at += part.end - part.start;
      } else at = decodeVarints(part, bytes, at, this.#width);
    }
    return bytes;
  }
}

function countVarints({ source, start, end }: Span): number {
  let count = 0;
  for (let at = start; at < end; at++) if (source.byte(at) < 0x80) count += 1;
  if (end > start && source.byte(end - 1) >= 0x80)
    throw broken(source, end, 'a number does not end');
  return count;
}

/** The low `width` bytes of each varint, little-endian; returns where the next go. */
function decodeVarints(span: Span, into: Uint8Array, offset: number, width: number): number {
  const { source } = span;
  let to = offset;
  for (let at = span.start; at < span.end; ) {
    let low = 0;
    let high = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = source.byte(at);
      at += 1;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >> 4;
      } else if (shift < 64) high |= bits << (shift - 32);
      if (byte < 0x80) break;
    }
    for (let i = 0; i < width; i++) into[to++] = i < 4 ? low >> (8 * i) : high >> (8 * (i - 4));
  }
  return to;
}

/** string_data, read when asked for. */
export class StringPayload implements StringSource {
  readonly #message: Span;
  #strings: Uint8Array[] | undefined;

  constructor(message: Span) {
    this.#message = message;
  }

  get strings(): readonly Uint8Array[] {
    this.#strings ??= this.#read();
    return this.#strings;
  }

  #read(): Uint8Array[] {
    const strings: Uint8Array[] = [];
    const scan = new Scanner(this.#message, 'TensorProto');
    while (scan.next()) {
      if (scan.number !== TENSOR.string_data) continue;
      scan.expect(BYTES);
      strings.push(readBytes(scan));
    }
    return strings;
  }
}
