// NumPy's .npy: magic, version, a Python dict with type, order and shape, then the elements.
// Format: numpy.lib.format, versions 1.0 to 3.0.

import { brokenFile, unsupportedArray } from '../errors/data.ts';
import { byteLengthOf, type DType, elementCount } from '../tensor/dtype.ts';
import type { ByteSource } from '../tensor/tensor.ts';
import { type ArraySource, after, StoredArray, StringArray } from './source.ts';

const MAGIC = '\x93NUMPY';
const HEADER_BYTES = 12;
const MAX_HEADER_BYTES = 1 << 20;

/** Kind and width of NumPy's type strings; byte order stands before, as in `<f4`. */
const DTYPES: Readonly<Record<string, DType>> = {
  b1: 'bool',
  i1: 'int8',
  i2: 'int16',
  i4: 'int32',
  i8: 'int64',
  u1: 'uint8',
  u2: 'uint16',
  u4: 'uint32',
  u8: 'uint64',
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  c8: 'complex64',
  c16: 'complex128',
};

/** The array in the bytes of a .npy file. */
export function readNpy(bytes: ByteSource, name: string, where: string): ArraySource {
  const { header, start } = readHeader(bytes, where);
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const dims = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (/'descr':\s*\[/.test(header)) {
    throw unsupportedArray(
      where,
      'the array has fields',
      'Save each field as an array of its own.',
    );
  }
  if (descr === undefined || order === undefined || dims === undefined) {
    throw brokenFile(where, 'the header of the array does not say its type, order and shape');
  }
  const shape = dims
    .split(',')
    .filter((dim) => dim.trim())
    .map(Number);
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw brokenFile(where, `the array's shape is "(${dims})"`);
  }
  const array = { name, where, shape };
  const payload = after(bytes, start);
  const layout = { fortran: order === 'True', bigEndian: descr.startsWith('>') };
  if (/^[<>|=]?[US]/.test(descr)) return readStrings(array, descr, payload, layout.fortran);
  const dtype = DTYPES[descr.replace(/^[<>|=]/, '')];
  if (!dtype) throw unsupportedArray(where, `the array's type is "${descr}"`, typeHint(descr));
  checkLength(payload, byteLengthOf(dtype, elementCount(shape)), where);
  return new StoredArray({ ...array, dtype }, payload, layout);
}

/** What stands before the elements of an array that is written in C order. Type must have a row above. */
export function npyHeader(dtype: DType, shape: readonly number[]): Uint8Array {
  const [code = ''] = Object.entries(DTYPES).find(([, own]) => own === dtype) ?? [];
  const dims = shape.map((size) => `${size},`).join(' ');
  const dict = `{'descr': '<${code}', 'fortran_order': False, 'shape': (${dims}), }`;
  const size = Math.ceil((10 + dict.length + 1) / 64) * 64 - 10;
  const head = Buffer.alloc(10);
  head.write(MAGIC, 0, 'latin1');
  head[6] = 1;
  head.writeUInt16LE(size, 8);
  return Buffer.concat([head, Buffer.from(`${dict.padEnd(size - 1)}\n`, 'latin1')]);
}

function readHeader(bytes: ByteSource, where: string): { header: string; start: number } {
  const head = bytes.read(0, Math.min(HEADER_BYTES, bytes.byteLength));
  if (Buffer.from(head.subarray(0, 6)).toString('latin1') !== MAGIC) {
    throw brokenFile(where, 'this is not a NumPy array');
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const isOld = head[6] === 1;
  const size =
    head.byteLength < HEADER_BYTES ? -1 : isOld ? view.getUint16(8, true) : view.getUint32(8, true);
  const start = (isOld ? 10 : 12) + size;
  if (size < 0 || size > MAX_HEADER_BYTES || start > bytes.byteLength) {
    throw brokenFile(where, 'the array ends within its header');
  }
  const header = Buffer.from(bytes.read(start - size, size)).toString('utf8');
  return { header, start };
}

/** `<U5`: UTF-32, padded with zeros; `|S5`: bytes, padded with zeros. */
function readStrings(
  array: Pick<ArraySource, 'name' | 'where' | 'shape'>,
  descr: string,
  payload: ByteSource,
  fortran: boolean,
): ArraySource {
  const [, endian, kind, digits] = /^([<>|=]?)([US])(\d+)$/.exec(descr) ?? [];
  const length = Number(digits);
  const { where } = array;
  if (!kind || (fortran && array.shape.length > 1)) {
    throw unsupportedArray(where, `the array's type is "${descr}"`, typeHint(descr));
  }
  const width = kind === 'U' ? 4 * length : length;
  const count = elementCount(array.shape);
  checkLength(payload, width * count, where);
  const bytes = payload.read(0, width * count);
  const strings = Array.from({ length: count }, (_, i) => {
    const cell = bytes.subarray(i * width, (i + 1) * width);
    return kind === 'U' ? fromUtf32(cell, endian === '>') : trimZeros(cell);
  });
  return new StringArray(array, strings);
}

function fromUtf32(cell: Uint8Array, bigEndian: boolean): Uint8Array {
  const view = new DataView(cell.buffer, cell.byteOffset, cell.byteLength);
  let text = '';
  for (let at = 0; at + 4 <= cell.byteLength; at += 4) {
    const code = view.getUint32(at, !bigEndian);
    text += code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  }
  return trimZeros(new TextEncoder().encode(text));
}

function trimZeros(cell: Uint8Array): Uint8Array {
  let end = cell.length;
  while (end > 0 && cell[end - 1] === 0) end -= 1;
  return cell.subarray(0, end);
}

function checkLength(payload: ByteSource, expected: number, where: string): void {
  if (payload.byteLength >= expected) return;
  throw brokenFile(
    where,
    `the array's shape and type take ${expected} bytes, but ${payload.byteLength} are there`,
  );
}

function typeHint(descr: string): string {
  if (/O/.test(descr)) return 'It holds pickled Python objects: save an array of numbers instead.';
  return 'Convert it with .astype("float32") or another numeric type before saving.';
}
