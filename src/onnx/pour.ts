// Streams the pieces of a message to where they go. Memory: two buffers of 8 MiB, or the largest
// tensor that has to be computed.

import assert from 'node:assert/strict';
import type { Tensor } from '../tensor/tensor.ts';
import type { CopiedSpan, Piece } from './message.ts';
import { FileSource } from './source.ts';

export interface Sink {
  /** The bytes may be overwritten once this resolves. */
  write(bytes: Uint8Array): Promise<void>;
}

/** What is to be written, and how much it is. */
export interface Content {
  readonly size: number;
  pieces(): Iterable<Piece>;
}

const BUFFER_BYTES = 8 << 20;

export async function pour(content: Content, sink: Sink): Promise<void> {
  const stream = new Buffered(sink, Math.max(1, Math.min(BUFFER_BYTES, content.size)));
  for (const piece of content.pieces()) {
    if (piece instanceof Uint8Array) await stream.write(piece);
    else if ('tensor' in piece) await pourTensor(piece.tensor, stream);
    else await pourSpan(piece, stream);
  }
  await stream.end();
}

async function pourSpan({ source, start, end }: CopiedSpan, stream: Buffered): Promise<void> {
  if (!(source instanceof FileSource)) {
    await stream.write(source.view(start, end));
    return;
  }
  for (let at = start; at < end; ) {
    const room = await stream.room(Math.min(end - at, BUFFER_BYTES));
    source.readInto(room, at);
    at += room.length;
  }
}

async function pourTensor(tensor: Tensor, stream: Buffered): Promise<void> {
  let bytes = 0;
  for await (const chunk of tensor.chunks()) {
    bytes += chunk.byteLength;
    await stream.write(chunk);
  }
  assert.equal(bytes, tensor.byteLength, `bytes of a ${tensor.dtype} [${tensor.shape}]`);
}

/** Two buffers: while one is on its way, the other is filled. */
class Buffered {
  readonly #sink: Sink;
  readonly #capacity: number;
  readonly #buffers: [Uint8Array | undefined, Uint8Array | undefined] = [undefined, undefined];
  #current = 0;
  #used = 0;
  #pending: Promise<void> = Promise.resolve();

  constructor(sink: Sink, capacity: number) {
    this.#sink = sink;
    this.#capacity = capacity;
  }

  async write(bytes: Uint8Array): Promise<void> {
    // What fills a buffer goes without a copy.
    if (bytes.length >= this.#capacity) {
      await this.#send();
      await this.#pending;
      await this.#sink.write(bytes);
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const room = await this.room(bytes.length - at);
      room.set(bytes.subarray(at, at + room.length));
      at += room.length;
    }
  }

  /** A part of the stream to fill, of up to `length` bytes. */
  async room(length: number): Promise<Uint8Array> {
    if (this.#used === this.#capacity) await this.#send();
    const index = this.#current as 0 | 1;
    this.#buffers[index] ??= new Uint8Array(this.#capacity);
    const start = this.#used;
    this.#used = Math.min(start + length, this.#capacity);
    return this.#buffers[index].subarray(start, this.#used);
  }

  async end(): Promise<void> {
    await this.#send();
    await this.#pending;
  }

  /** Waits for the buffer before, then sends this one. */
  async #send(): Promise<void> {
    const bytes = this.#buffers[this.#current as 0 | 1]?.subarray(0, this.#used);
    if (!bytes || this.#used === 0) return;
    await this.#pending;
    this.#pending = this.#sink.write(bytes);
    // A failure shows at the next wait; until then it is not unhandled.
    this.#pending.catch(() => {});
    this.#current = 1 - this.#current;
    this.#used = 0;
  }
}
