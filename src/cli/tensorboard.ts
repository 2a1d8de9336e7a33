// Event files of TensorBoard: records of [length, CRC of it, Event, CRC of that], CRCs masked as
// TFRecord does. Events are protobuf messages: wall time (1), step (2), summary (5) of tag (1) and
// value (2).

import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

export class EventFile {
  readonly #file: number;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const seconds = Math.floor(Date.now() / 1000);
    this.#file = openSync(join(folder, `events.out.tfevents.${seconds}.${hostname()}`), 'w');
    this.#record(Buffer.concat([wallTime(), field(3, Buffer.from('brain.Event:2'))]));
  }

  scalar(tag: string, step: number, value: number): void {
    const single = Buffer.alloc(5);
    single[0] = (2 << 3) | 5;
    single.writeFloatLE(value, 1);
    const entry = Buffer.concat([field(1, Buffer.from(tag)), single]);
    const summary = field(5, field(1, entry));
    this.#record(Buffer.concat([wallTime(), Buffer.from([2 << 3]), varint(step), summary]));
  }

  close(): void {
    closeSync(this.#file);
  }

  #record(event: Buffer): void {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(event.length));
    writeSync(this.#file, Buffer.concat([length, checksum(length), event, checksum(event)]));
  }
}

function wallTime(): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (1 << 3) | 1;
  bytes.writeDoubleLE(Date.now() / 1000, 1);
  return bytes;
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** CRC-32C of each byte (Castagnoli, reflected). */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function checksum(bytes: Buffer): Buffer {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 255] as number) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  const out = Buffer.alloc(4);
  out.writeUInt32LE(masked);
  return out;
}
