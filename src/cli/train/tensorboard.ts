// Event files of TensorBoard: records of [length, CRC of it, Event, CRC of that], CRCs masked as
// TFRecord does. Events are protobuf messages: wall time (1), step (2), summary (5) of tag (1) and
// value (2) or histogram (5).

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
    this.#summary(tag, step, single);
  }

  /** HistogramProto: min, max, num, sum, sum_squares (1 to 5), right edges and counts of bins (6, 7). */
  histogram(tag: string, step: number, values: Float32Array): void {
    const { min, max, sum, squares, counts } = binned(values);
    const edges = counts.map((_, i) => min + ((i + 1) * (max - min)) / BINS);
    const head = [min, max, values.length, sum, squares].map((value, i) => double(i + 1, value));
    this.#summary(
      tag,
      step,
      field(5, Buffer.concat([...head, packed(6, edges), packed(7, counts)])),
    );
  }

  #summary(tag: string, step: number, value: Buffer): void {
    const summary = field(5, field(1, Buffer.concat([field(1, Buffer.from(tag)), value])));
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

const BINS = 30;

function binned(values: Float32Array) {
  let [min, max, sum, squares] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    squares += value * value;
  }
  const counts: number[] = new Array(BINS).fill(0);
  for (const value of values) {
    const bin = max > min ? Math.floor((BINS * (value - min)) / (max - min)) : 0;
    counts[Math.min(bin, BINS - 1)] = (counts[Math.min(bin, BINS - 1)] ?? 0) + 1;
  }
  return { min, max, sum, squares, counts };
}

function wallTime(): Buffer {
  return double(1, Date.now() / 1000);
}

function double(number: number, value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (number << 3) | 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
}

function packed(number: number, values: readonly number[]): Buffer {
  return field(number, Buffer.from(Float64Array.from(values).buffer));
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
