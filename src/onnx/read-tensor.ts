// TensorProto to Tensor: the header is read, the payload stays where it is.

import { externalUnavailable } from '../errors/model.ts';
import { byteLengthOf, type DType, dtypeOf, elementCount } from '../tensor/dtype.ts';
import { type ByteSource, Tensor, type TensorSource } from '../tensor/tensor.ts';
import { checkRank } from './budget.ts';
import type { ExternalData } from './external.ts';
import { ENTRY, EXTERNAL, TENSOR } from './fields.ts';
import { TensorOrigin } from './origin.ts';
import { RangeBytes } from './source.ts';
import { payloadFieldOf, StringPayload, TypedPayload } from './typed-payload.ts';
import {
  appendInts,
  BYTES,
  broken,
  type Field,
  readNumber,
  readText,
  Scanner,
  type Span,
  VARINT,
} from './wire.ts';

export interface NamedTensor {
  readonly name: string;
  /** undefined for an element type that this version does not know. */
  readonly tensor: Tensor | undefined;
}

interface Header {
  dims: (number | bigint)[];
  dataType: number;
  name: string;
  raw: Span | undefined;
  /** The typed field with content, if any. */
  typed: Field | undefined;
  readonly external: Map<string, string>;
  location: number;
}

const TYPED_FIELDS: ReadonlySet<number> = new Set([
  TENSOR.float_data,
  TENSOR.int32_data,
  TENSOR.int64_data,
  TENSOR.double_data,
  TENSOR.uint64_data,
]);

export function readTensor(
  field: Pick<Field, 'number' | 'head'> & Span,
  files: ExternalData | undefined,
): NamedTensor {
  const header = readHeader(field);
  const { name } = header;
  const dtype = dtypeOf(header.dataType);
  if (dtype === undefined) return { name, tensor: undefined };
  const shape = shapeOf(header, field);
  const isExternal = header.location === EXTERNAL && dtype !== 'string';
  const source = isExternal
    ? externalSource(header, dtype, shape, field, files)
    : inlineSource(header, dtype, field);
  const origin = new TensorOrigin(field, name, isExternal);
  return { name, tensor: new Tensor(dtype, shape, source, origin) };
}

function readHeader(span: Span): Header {
  const header: Header = {
    dims: [],
    dataType: 0,
    name: '',
    raw: undefined,
    typed: undefined,
    external: new Map(),
    location: 0,
  };
  const scan = new Scanner(span, 'TensorProto');
  while (scan.next()) readHeaderField(header, scan);
  return header;
}

function readHeaderField(header: Header, scan: Scanner): void {
  if (TYPED_FIELDS.has(scan.number)) {
    if (scan.wire !== BYTES || scan.end > scan.start) header.typed ??= scan.field();
    return;
  }
  switch (scan.number) {
    case TENSOR.dims:
      scan.expect(VARINT, BYTES);
      // Before the list is read: ten bytes are the most that one axis takes.
      checkRank((scan.end - scan.start) / 10, scan);
      appendInts(scan, header.dims);
      checkRank(header.dims.length, scan);
      break;
    case TENSOR.data_type:
      scan.expect(VARINT);
      header.dataType = readNumber(scan);
      break;
    case TENSOR.name:
      scan.expect(BYTES);
      header.name = readText(scan);
      break;
    case TENSOR.raw_data:
      scan.expect(BYTES);
      header.raw = scan.field();
      break;
    case TENSOR.external_data: {
      scan.expect(BYTES);
      const [key, value] = readEntry(scan);
      header.external.set(key, value);
      break;
    }
    case TENSOR.data_location:
      scan.expect(VARINT);
      header.location = readNumber(scan);
      break;
  }
}

/** A StringStringEntryProto. */
export function readEntry(span: Span): [key: string, value: string] {
  let key = '';
  let value = '';
  const scan = new Scanner(span, 'StringStringEntryProto');
  while (scan.next()) {
    if (scan.number !== ENTRY.key && scan.number !== ENTRY.value) continue;
    scan.expect(BYTES);
    if (scan.number === ENTRY.key) key = readText(scan);
    else value = readText(scan);
  }
  return [key, value];
}

function whereOf(name: string, { source, start }: Span): string {
  return name ? `${source.label}, tensor "${name}"` : `${source.label}, tensor at byte ${start}`;
}

function shapeOf(header: Header, span: Span): number[] {
  const shape = header.dims.map(Number);
  if (shape.some((dim) => dim < 0) || !Number.isSafeInteger(elementCount(shape) * 16)) {
    const where = whereOf(header.name, span);
    throw broken(span.source, span.start, `[${shape.join(', ')}] is no shape of ${where}`);
  }
  return shape;
}

function inlineSource(header: Header, dtype: DType, span: Span): TensorSource {
  if (dtype === 'string') return new StringPayload(span);
  const { raw, typed } = header;
  if (raw && (raw.end > raw.start || !typed)) {
    return new RangeBytes(raw.source, raw.start, raw.end - raw.start);
  }
  const field = payloadFieldOf(dtype);
  // Packed floats are their own bytes.
  const isPlain = field === TENSOR.float_data || field === TENSOR.double_data;
  if (typed && isPlain && typed.number === field && typed.wire === BYTES) {
    const only = new TypedPayload(span, field, dtype);
    const range = new RangeBytes(typed.source, typed.start, typed.end - typed.start);
    return only.byteLength === range.byteLength ? range : only;
  }
  return new TypedPayload(span, field, dtype);
}

function externalSource(
  header: Header,
  dtype: DType,
  shape: readonly number[],
  span: Span,
  files: ExternalData | undefined,
): ByteSource {
  const where = whereOf(header.name, span);
  const size = byteLengthOf(dtype, elementCount(shape));
  const number = (key: string, otherwise: number) => {
    const text = header.external.get(key);
    if (text === undefined || text === '') return otherwise;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw broken(span.source, span.start, `"${text}" is no ${key} of the data of ${where}`);
  };
  const location = header.external.get('location') ?? '';
  const reference = { location, offset: number('offset', 0), length: number('length', size) };
  if (files) return files.bytes(reference, where);
  return {
    byteLength: reference.length,
    read() {
      throw externalUnavailable(location, where);
    },
  };
}
