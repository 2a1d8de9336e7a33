// Streams the pieces of a message to where they go, through one small buffer: what passes through the
// processor's cache is copied at the speed of `cp`, larger buffers take up to twice as long.

import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import type { Tensor } from '../tensor/tensor.ts';
import type { CopiedSpan, Piece } from './message.ts';
import { FileSource } from './source.ts';

export interface Sink {
  /** The bytes may be overwritten once this returns, or what it returns resolves. */
  write(bytes: Uint8Array): void | Promise<void>;
}

/** What is to be written, and how much it is. */
export interface Content {
  readonly size: number;
  pieces(): Iterable<Piece>;
}

const BUFFER_BYTES = 128 << 10;
/** Signals, timers and progress get their turn after as much. */
const TURN_BYTES = 16 << 20;

export async function pour(content: Content, sink: Sink): Promise<void> {
  const stream = new Buffered(sink, Math.max(1, Math.min(BUFFER_BYTES, content.size)));
  for (const piece of content.pieces()) {
    if (piece instanceof Uint8Array) await stream.write(piece);
    else if ('tensor' in piece) await pourTensor(piece.tensor, stream);
    else if (piece.source instanceof FileSource) await stream.copy(piece, piece.source);
    else await stream.write(piece.source.view(piece.start, piece.end));
  }
  await stream.send();
}

async function pourTensor(tensor: Tensor, stream: Buffered): Promise<void> {
  let bytes = 0;
  for await (const chunk of tensor.chunks()) {
    bytes += chunk.byteLength;
    await stream.write(chunk);
  }
  assert.equal(bytes, tensor.byteLength, `bytes of a ${tensor.dtype} [${tensor.shape}]`);
}

class Buffered {
  readonly #sink: Sink;
  readonly #buffer: Uint8Array;
  #used = 0;
  #sinceTurn = 0;

  constructor(sink: Sink, capacity: number) {
    this.#sink = sink;
    this.#buffer = new Uint8Array(capacity);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.#buffer.length - this.#used) await this.send();
    if (bytes.length > this.#buffer.length) await this.#pass(bytes);
    else {
      this.#buffer.set(bytes, this.#used);
      this.#used += bytes.length;
    }
  }

  async copy({ start, end }: CopiedSpan, source: FileSource): Promise<void> {
    for (let at = start; at < end; ) {
      if (this.#used === this.#buffer.length) await this.send();
      const room = this.#buffer.subarray(this.#used, this.#used + end - at);
      source.readInto(room, at);
      this.#used += room.length;
      at += room.length;
    }
  }

  /** Hands on what is in the buffer. */
  async send(): Promise<void> {
    if (this.#used === 0) return;
    const bytes = this.#buffer.subarray(0, this.#used);
    this.#used = 0;
    await this.#pass(bytes);
  }

  async #pass(bytes: Uint8Array): Promise<void> {
    // Awaiting what is done already would cost a turn for each buffer.
    const pending = this.#sink.write(bytes);
    if (pending) await pending;
    this.#sinceTurn += bytes.length;
    if (this.#sinceTurn < TURN_BYTES) return;
    this.#sinceTurn = 0;
    await setImmediate();
  }
}
