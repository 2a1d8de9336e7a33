// Arrays on disk or in memory whose first axis counts samples, read sample by sample.

import { closeSync, openSync, readSync } from 'node:fs';
import { brokenFile } from '../errors/data.ts';
import { byteLengthOf, type DType, elementCount } from '../tensor/dtype.ts';
import { type ByteSource, Tensor } from '../tensor/tensor.ts';

export interface ArraySource {
  /** Name of the entry or column. */
  readonly name: string;
  /** File and entry, for messages. */
  readonly where: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The rows with these numbers, [rows.length, …]; of a scalar: itself. */
  rows(rows: readonly number[]): Tensor | Promise<Tensor>;
}

export interface ArrayLayout {
  /** Column-major, as Fortran has it. */
  readonly fortran?: boolean;
  readonly bigEndian?: boolean;
}

/** Arrays of files that are read over and over stay in memory, if they take no more than this. */
const KEPT_BYTES = 128 << 20;

/** An array of fixed-width elements over bytes in C or Fortran order. */
export class StoredArray implements ArraySource {
  readonly name: string;
  readonly where: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #layout: ArrayLayout;
  #bytes: ByteSource;
  /** Bytes that rows took so far. */
  #taken = 0;

  constructor(
    parts: Pick<ArraySource, 'name' | 'where' | 'dtype' | 'shape'>,
    bytes: ByteSource,
    layout: ArrayLayout = {},
  ) {
    this.name = parts.name;
    this.where = parts.where;
    this.dtype = parts.dtype;
    this.shape = parts.shape;
    this.#bytes = bytes;
    this.#layout = layout;
  }

  rows(rows: readonly number[]): Tensor {
    const [count, ...rest] = this.shape;
    if (count === undefined) return Tensor.fromBytes(this.dtype, [], this.#native(this.#all()));
    const rowElements = elementCount(rest);
    const out = new Uint8Array(byteLengthOf(this.dtype, rowElements * rows.length));
    this.#keepWhereReadAgain(out.length);
    if (this.#layout.fortran && rest.length > 0) this.#gatherFortran(rows, count, out);
    else this.#gather(rows, byteLengthOf(this.dtype, rowElements), out);
    return Tensor.fromBytes(this.dtype, [rows.length, ...rest], this.#native(out));
  }

  #all(): Uint8Array {
    return new Uint8Array(this.#bytes.read(0, this.#bytes.byteLength));
  }

  /** A read for each row of a shuffled epoch costs more than small steps of training do. */
  #keepWhereReadAgain(more: number): void {
    const { byteLength } = this.#bytes;
    if (byteLength > KEPT_BYTES || !(this.#bytes instanceof FileSource)) return;
    this.#taken += more;
    if (this.#taken > byteLength) this.#bytes = new BytesSource(this.#bytes.read(0, byteLength));
  }

  /** Neighbouring rows in one read. */
  #gather(rows: readonly number[], rowBytes: number, out: Uint8Array): void {
    readTogether(this.#bytes, (fill) => {
      for (let i = 0; i < rows.length; ) {
        const first = rows[i] as number;
        let run = 1;
        while (rows[i + run] === first + run) run += 1;
        fill(out.subarray(i * rowBytes, (i + run) * rowBytes), first * rowBytes);
        i += run;
      }
    });
  }

  /** Element (i, j, k) stands at i + n * (j + m * k): one read per column, of the rows' span. */
  #gatherFortran(rows: readonly number[], count: number, out: Uint8Array): void {
    const rest = this.shape.slice(1);
    const width = byteLengthOf(this.dtype, 1);
    const columns = elementCount(rest);
    const first = rows.reduce((a, b) => Math.min(a, b), count);
    const span = rows.reduce((a, b) => Math.max(a, b), 0) - first + 1;
    for (let column = 0; column < columns; column++) {
      const bytes = this.#bytes.read((column * count + first) * width, span * width);
      const to = reverseIndex(column, rest);
      rows.forEach((row, i) => {
        const at = (row - first) * width;
        out.set(bytes.subarray(at, at + width), (i * columns + to) * width);
      });
    }
  }

  #native(bytes: Uint8Array): Uint8Array {
    if (!this.#layout.bigEndian) return bytes;
    const width = this.dtype.startsWith('complex')
      ? byteLengthOf(this.dtype, 1) / 2
      : byteLengthOf(this.dtype, 1);
    for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
    return bytes;
  }
}

/** Strings, in memory. */
export class StringArray implements ArraySource {
  readonly name: string;
  readonly where: string;
  readonly dtype = 'string';
  readonly shape: readonly number[];
  readonly #strings: readonly Uint8Array[];

  constructor(
    parts: Pick<ArraySource, 'name' | 'where' | 'shape'>,
    strings: readonly Uint8Array[],
  ) {
    this.name = parts.name;
    this.where = parts.where;
    this.shape = parts.shape;
    this.#strings = strings;
  }

  rows(rows: readonly number[]): Tensor {
    const [count, ...rest] = this.shape;
    if (count === undefined) return Tensor.strings([], this.#strings);
    const width = elementCount(rest);
    const picked = rows.flatMap((row) => this.#strings.slice(row * width, (row + 1) * width));
    return Tensor.strings([rows.length, ...rest], picked);
  }
}

/** Fills `bytes` from an offset on. */
type Fill = (bytes: Uint8Array, offset: number) => void;

/** Many reads, for which a file is opened once. */
function readTogether(source: ByteSource, use: (fill: Fill) => void): void {
  if (source instanceof FileSource) source.opened(use);
  else use((bytes, offset) => bytes.set(source.read(offset, bytes.length)));
}

/** A stretch of a file. Not kept open: data files outnumber what a process may keep open. */
export class FileSource implements ByteSource {
  readonly path: string;
  readonly start: number;
  readonly byteLength: number;

  constructor(path: string, start: number, byteLength: number) {
    this.path = path;
    this.start = start;
    this.byteLength = byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.opened((fill) => fill(bytes, offset));
    return bytes;
  }

  /** Many reads; the file is open while `use` runs. */
  opened(use: (fill: Fill) => void): void {
    const file = openSync(this.path, 'r');
    try {
      use((bytes, offset) => {
        for (let done = 0; done < bytes.length; ) {
          const at = this.start + offset + done;
          const got = readSync(file, bytes, done, bytes.length - done, at);
          if (got === 0) throw brokenFile(this.path, 'the file ended while it was read');
          done += got;
        }
      });
    } finally {
      closeSync(file);
    }
  }
}

/** Bytes in memory. */
export class BytesSource implements ByteSource {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get byteLength(): number {
    return this.bytes.byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    return this.bytes.subarray(offset, offset + length);
  }
}

/** What follows the first `start` bytes. */
export function after(source: ByteSource, start: number): ByteSource {
  const byteLength = source.byteLength - start;
  if (source instanceof FileSource) {
    return new FileSource(source.path, source.start + start, byteLength);
  }
  return { byteLength, read: (offset, length) => source.read(start + offset, length) };
}

/** The C-order position of the element at a Fortran-order position. */
function reverseIndex(position: number, shape: readonly number[]): number {
  let rest = position;
  const index = shape.map((dim) => {
    const i = rest % dim;
    rest = Math.floor(rest / dim);
    return i;
  });
  return index.reduce((sum, i, axis) => sum * (shape[axis] as number) + i, 0);
}
