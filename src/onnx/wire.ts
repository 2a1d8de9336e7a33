// The protobuf wire format, read: tags, varints, lengths. Every length is checked against what
// encloses it before anyone relies on it. Source: protobuf.dev/programming-guides/encoding.

import { modelBroken, modelTooDeep } from '../errors/model.ts';
import type { Source } from './source.ts';
import { decodeText } from './text.ts';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const GROUP = 3;
const GROUP_END = 4;
export const FIXED32 = 5;

/** Graphs in graphs, types in types, groups in groups. */
export const MAX_DEPTH = 100;

/** A stretch of a source. */
export interface Span {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
}

/** One field of a message; `start` to `end` is its content, `head` where its tag begins. */
export interface Field extends Span {
  readonly number: number;
  readonly wire: number;
  readonly head: number;
}

export function broken(source: Source, at: number, message: string): Error {
  return modelBroken(message, `${source.label}, byte ${at}`);
}

/** Walks the fields of one message, without making objects of those nobody asks for. */
export class Scanner implements Field {
  readonly source: Source;
  number = 0;
  wire = 0;
  head = 0;
  start = 0;
  end: number;
  readonly #limit: number;
  readonly #message: string;

  constructor({ source, start, end }: Span, message: string) {
    this.source = source;
    this.end = start;
    this.#limit = end;
    this.#message = message;
  }

  /** Steps to the next field; false at the end. */
  next(): boolean {
    this.head = this.end;
    if (this.head >= this.#limit) return false;
    this.start = this.head;
    this.#tag();
    this.end = this.#skip();
    return true;
  }

  /** The current field, to keep. */
  field(): Field {
    const { source, number, wire, head, start, end } = this;
    return { source, number, wire, head, start, end };
  }

  /** Fails unless the current field has the wire type its message says. */
  expect(...wires: number[]): void {
    if (wires.includes(this.wire)) return;
    throw this.#broken(`field ${this.number} of ${this.#message} has wire type ${this.wire}`);
  }

  #broken(message: string): Error {
    return broken(this.source, this.head, message);
  }

  /** Reads at `start` and moves it. */
  #tag(): void {
    const tag = this.#varint();
    this.number = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.number >= 1 && this.number < 2 ** 29) return;
    throw this.#broken(`${this.#message} has a field numbered ${this.number}`);
  }

  /** Reads at `start` and moves it. */
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.start >= this.#limit) break;
      const byte = this.source.byte(this.start);
      this.start += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw this.#broken(`${this.#message} ends inside a number, or the number does not end`);
  }

  /** The end of the content that begins at `start`, which moves past a length. */
  #skip(): number {
    switch (this.wire) {
      case VARINT: {
        const at = this.start;
        this.#varint();
        const end = this.start;
        this.start = at;
        return end;
      }
      case FIXED64:
        return this.#within(8);
      case FIXED32:
        return this.#within(4);
      case BYTES:
        return this.#within(this.#varint());
      case GROUP:
        return this.#skipGroup();
      default:
        throw this.#broken(`field ${this.number} of ${this.#message} has wire type ${this.wire}`);
    }
  }

  #within(length: number): number {
    const left = this.#limit - this.start;
    if (length <= left) return this.start + length;
    throw this.#broken(
      `field ${this.number} of ${this.#message} says it has ${length} bytes, but ${left} are left`,
    );
  }

  /** Groups are long out of use, but an unknown field may be one. */
  #skipGroup(): number {
    const { number, wire, head, start } = this;
    const open = [number];
    while (open.length > 0) {
      if (this.start >= this.#limit) throw this.#broken(`group ${number} does not end`);
      if (open.length > MAX_DEPTH)
        throw modelTooDeep(MAX_DEPTH, `${this.source.label}, byte ${head}`);
      this.#tag();
      if (this.wire === GROUP) open.push(this.number);
      else if (this.wire !== GROUP_END) this.start = this.#skip();
      else if (open.pop() !== this.number) throw this.#broken(`group ${number} does not end`);
    }
    const end = this.start;
    Object.assign(this, { number, wire, head, start });
    return end;
  }
}

/** The whole of a source. */
export function whole(source: Source): Span {
  return { source, start: 0, end: source.size };
}

/** An integer: signed, exact. */
export function readInt(field: Span): number | bigint {
  const { source, start, end } = field;
  if (end - start <= 7) return readUnsigned(source, start);
  let value = 0n;
  for (let at = start, shift = 0n; at < end; at++, shift += 7n) {
    value |= BigInt(source.byte(at) & 0x7f) << shift;
  }
  value = BigInt.asIntN(64, value);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** An integer of an enumeration, version or size: beyond 2^53, rounded. */
export function readNumber(field: Span): number {
  return Number(readInt(field));
}

/** A varint of at most seven bytes. */
function readUnsigned(source: Source, start: number): number {
  let value = 0;
  let scale = 1;
  for (let at = start; ; at++) {
    const byte = source.byte(at);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
    scale *= 128;
  }
}

export function readFloat({ source, start, end }: Span): number {
  const bytes = source.view(start, end);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true);
}

export function readBytes({ source, start, end }: Span): Uint8Array {
  return source.read(start, end - start);
}

export function readText({ source, start, end }: Span): string {
  return decodeText(source.view(start, end));
}

/** The integers of a repeated field, packed or not. */
export function appendInts(field: Field, list: (number | bigint)[]): void {
  if (field.wire === VARINT) {
    list.push(readInt(field));
    return;
  }
  const { source } = field;
  for (let at = field.start; at < field.end; ) {
    let end = at;
    while (end < field.end && source.byte(end) >= 0x80) end += 1;
    if (end === field.end || end - at > 9) throw broken(source, at, 'a number does not end');
    list.push(readInt({ source, start: at, end: end + 1 }));
    at = end + 1;
  }
}

/** The floats of a repeated field, packed or not. */
export function appendFloats(field: Field, list: number[]): void {
  const { source, start, end } = field;
  if ((end - start) % 4 !== 0) throw broken(source, start, 'a list of floats ends inside one');
  for (let at = start; at < end; at += 4) list.push(readFloat({ source, start: at, end: at + 4 }));
}
