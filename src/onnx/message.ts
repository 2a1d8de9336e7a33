// A message being written: small pieces in memory, stretches copied from where they were read, and
// tensors whose bytes come later. Sizes are known before anything is copied or computed.

import type { Tensor } from '../tensor/tensor.ts';
import { RangeBytes, type Source } from './source.ts';
import { encodeText } from './text.ts';
import { BYTES, FIXED32, type Field, Scanner, type Span, VARINT } from './wire.ts';

/** Stretches next to each other in the file become one. */
export interface CopiedSpan {
  readonly source: Source;
  readonly start: number;
  end: number;
}

export type Piece = Uint8Array | CopiedSpan | { readonly tensor: Tensor };

/** The bytes of a tensor: a stretch of a file where they are one. */
export function pieceOf(tensor: Tensor): CopiedSpan | { readonly tensor: Tensor } {
  const { source, byteLength } = tensor;
  if (!(source instanceof RangeBytes)) return { tensor };
  return { source: source.source, start: source.start, end: source.start + byteLength };
}

type Part = Piece | Message;

export class Message {
  size = 0;
  readonly #parts: Part[] = [];
  #small: number[] = [];

  int(number: number, value: number | bigint): void {
    this.#tag(number, VARINT);
    this.#varint(value);
  }

  float(number: number, value: number): void {
    this.#tag(number, FIXED32);
    this.#add(new Uint8Array(Float32Array.of(value).buffer));
  }

  text(number: number, value: string): void {
    this.bytes(number, encodeText(value));
  }

  bytes(number: number, value: Uint8Array): void {
    this.#lengthPrefix(number, value.byteLength);
    this.#add(value);
  }

  message(number: number, build: (message: Message) => void): void {
    const inner = new Message();
    build(inner);
    inner.#flush();
    this.#lengthPrefix(number, inner.size);
    this.#add(inner, inner.size);
  }

  /** The bytes of a tensor, wherever they are. */
  payload(number: number, tensor: Tensor): void {
    this.#lengthPrefix(number, tensor.byteLength);
    const piece = pieceOf(tensor);
    if ('end' in piece) this.#copy(piece);
    else this.#add(piece, tensor.byteLength);
  }

  /** A field as it was read; under another number, if one is given. */
  copy(field: Span & Pick<Field, 'head' | 'number'>, number = field.number): void {
    const { source, start, end } = field;
    if (number === field.number && field.head < start) {
      this.#copy({ source, start: field.head, end });
      return;
    }
    this.#lengthPrefix(number, end - start);
    this.#copy({ source, start, end });
  }

  /** Everything in order, without nesting. */
  *pieces(): Generator<Piece> {
    this.#flush();
    for (const part of this.#parts) {
      if (part instanceof Message) yield* part.pieces();
      else yield part;
    }
  }

  #copy(span: CopiedSpan): void {
    if (span.end === span.start) return;
    const last = this.#small.length === 0 ? this.#parts.at(-1) : undefined;
    const joins = last && 'end' in last && last.source === span.source && last.end === span.start;
    if (!joins) {
      this.#add(span, span.end - span.start);
      return;
    }
    last.end = span.end;
    this.size += span.end - span.start;
  }

  #add(part: Part, size = (part as Uint8Array).byteLength): void {
    if (part instanceof Uint8Array && size <= 64) {
      for (const byte of part) this.#small.push(byte);
    } else {
      this.#flush();
      this.#parts.push(part);
    }
    this.size += size;
  }

  #flush(): void {
    if (this.#small.length === 0) return;
    this.#parts.push(Uint8Array.from(this.#small));
    this.#small = [];
  }

  #lengthPrefix(number: number, length: number): void {
    this.#tag(number, BYTES);
    this.#varint(length);
  }

  #tag(number: number, wire: number): void {
    this.#varint(number * 8 + wire);
  }

  #varint(value: number | bigint): void {
    const before = this.#small.length;
    if (typeof value === 'bigint' || value < 0 || !Number.isSafeInteger(value)) {
      let rest = BigInt.asUintN(64, BigInt(value));
      for (; rest >= 0x80n; rest >>= 7n) this.#small.push(Number(rest & 0x7fn) | 0x80);
      this.#small.push(Number(rest));
    } else {
      let rest = value;
      for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#small.push((rest % 128) | 0x80);
      this.#small.push(rest);
    }
    this.size += this.#small.length - before;
  }
}

/** The fields of a message as it was read, by number. */
export class Shell {
  static readonly none = new Shell([]);
  readonly #fields = new Map<number, Field[]>();

  constructor(fields: Iterable<Field>) {
    for (const field of fields) {
      const list = this.#fields.get(field.number);
      if (list) list.push(field);
      else this.#fields.set(field.number, [field]);
    }
  }

  static of(span: Span | undefined, message: string): Shell {
    if (!span) return Shell.none;
    const fields: Field[] = [];
    const scan = new Scanner(span, message);
    while (scan.next()) fields.push(scan.field());
    return new Shell(fields);
  }

  get numbers(): Iterable<number> {
    return this.#fields.keys();
  }

  all(number: number): readonly Field[] {
    return this.#fields.get(number) ?? [];
  }

  /** Of a field that is not repeated, the last counts. */
  last(number: number): Field | undefined {
    return this.#fields.get(number)?.at(-1);
  }

  has(number: number): boolean {
    return this.#fields.has(number);
  }
}

/** Writes the fields of one number. */
export type Parts = Readonly<Record<number, ((message: Message) => void) | undefined>>;

/**
 * Fields in ascending order, which is the canonical one: those in `parts` as they are now, all
 * others as they were.
 */
export function assemble(message: Message, shell: Shell, parts: Parts): void {
  const numbers = new Set([...shell.numbers, ...Object.keys(parts).map(Number)]);
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const write = parts[number];
    if (write) write(message);
    else for (const field of shell.all(number)) message.copy(field);
  }
}

/** A text that is left out where it is empty and always was. */
export function optionalText(shell: Shell, number: number, value: string) {
  return (message: Message): void => {
    if (value !== '' || shell.has(number)) message.text(number, value);
  };
}
