// The directory of a zip archive and its entries' bytes: stored entries are read in place, by range,
// compressed ones are inflated one at a time. Format: PKWARE APPNOTE 6.3, with zip64.

import { constants } from 'node:buffer';
import { createReadStream, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { brokenFile } from '../errors/data.ts';
import type { ByteSource } from '../tensor/tensor.ts';
import { BytesSource, FileSource } from './source.ts';

export interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  /** Where the entry's local header stands. */
  readonly offset: number;
}

const END = 0x06054b50;
const END_BYTES = 22;
const LOCATOR = 0x07064b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const STORED = 0;
const DEFLATED = 8;
/** Deflate cannot shrink more than 1032:1; a larger size is a lie, and a way to exhaust memory. */
const MAX_RATIO = 1032;

export function readDirectory(path: string): ZipEntry[] {
  const { size } = statSync(path);
  const file = new FileSource(path, 0, size);
  const { count, start, bytes } = findDirectory(file, path);
  if (start + bytes > size) throw brokenFile(path, 'the archive is cut off');
  const directory = Buffer.from(file.read(start, bytes));
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== ENTRY) {
      throw brokenFile(path, "the archive's directory is damaged");
    }
    const nameBytes = directory.readUInt16LE(at + 28);
    const extraBytes = directory.readUInt16LE(at + 30);
    const next = at + 46 + nameBytes + extraBytes + directory.readUInt16LE(at + 32);
    if (next > directory.length) throw brokenFile(path, "the archive's directory is damaged");
    const extra = directory.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes);
    const [entrySize, compressed, offset] = wide(extra, [
      directory.readUInt32LE(at + 24),
      directory.readUInt32LE(at + 20),
      directory.readUInt32LE(at + 42),
    ]);
    entries.push({
      name: directory.toString('utf8', at + 46, at + 46 + nameBytes),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      size: entrySize,
      compressed,
      offset,
    });
    at = next;
  }
  return entries;
}

/** The bytes of an entry. */
export async function openEntry(path: string, entry: ZipEntry): Promise<ByteSource> {
  const where = `${path}: entry "${entry.name}"`;
  const total = statSync(path).size;
  const file = new FileSource(path, 0, total);
  if (entry.offset + 30 > total) throw brokenFile(where, 'the entry lies beyond the file');
  const local = Buffer.from(file.read(entry.offset, 30));
  if (local.readUInt32LE(0) !== LOCAL) throw brokenFile(where, 'the entry does not begin here');
  const start = entry.offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
  if (start + entry.compressed > total) throw brokenFile(where, 'the entry is cut off');
  if (entry.method === STORED) return new FileSource(path, start, entry.compressed);
  if (entry.method !== DEFLATED) {
    throw brokenFile(where, `the entry is compressed by method ${entry.method}, not deflate`);
  }
  return new BytesSource(await inflate(path, start, entry, where));
}

async function inflate(
  path: string,
  start: number,
  entry: ZipEntry,
  where: string,
): Promise<Uint8Array> {
  if (entry.size > MAX_RATIO * entry.compressed || entry.size > constants.MAX_LENGTH) {
    throw brokenFile(where, `the entry claims ${entry.size} bytes, which cannot be`);
  }
  if (entry.compressed === 0) return new Uint8Array();
  const bytes = new Uint8Array(entry.size);
  const end = start + entry.compressed - 1;
  let at = 0;
  try {
    await pipeline(createReadStream(path, { start, end }), createInflateRaw(), async (stream) => {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        if (at + chunk.length > entry.size) throw new Error('it is larger than it claims');
        bytes.set(chunk, at);
        at += chunk.length;
      }
    });
  } catch (error) {
    throw brokenFile(where, `the entry cannot be unpacked: ${(error as Error).message}`);
  }
  if (at !== entry.size || crc32(bytes) !== entry.crc) {
    throw brokenFile(where, 'the entry is damaged: its checksum does not match');
  }
  return bytes;
}

/** The record at the end of the file says where the directory is. */
function findDirectory(file: FileSource, path: string) {
  const tailBytes = Math.min(file.byteLength, END_BYTES + 0xffff);
  const tail = Buffer.from(file.read(file.byteLength - tailBytes, tailBytes));
  let at = tail.length - END_BYTES;
  while (at >= 0 && tail.readUInt32LE(at) !== END) at -= 1;
  if (at < 0) throw brokenFile(path, 'this is not a zip archive, or it is cut off');
  const locator = at - 20;
  if (locator >= 0 && tail.readUInt32LE(locator) === LOCATOR) {
    const offset = Number(tail.readBigUInt64LE(locator + 8));
    if (offset + 56 > file.byteLength) throw brokenFile(path, 'the archive is cut off');
    const record = Buffer.from(file.read(offset, 56));
    return {
      count: Number(record.readBigUInt64LE(32)),
      bytes: Number(record.readBigUInt64LE(40)),
      start: Number(record.readBigUInt64LE(48)),
    };
  }
  return {
    count: tail.readUInt16LE(at + 10),
    bytes: tail.readUInt32LE(at + 12),
    start: tail.readUInt32LE(at + 16),
  };
}

/** Replaces values of all ones by those of the zip64 extra field, in the order of the format. */
function wide(extra: Buffer, values: [number, number, number]): [number, number, number] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    let from = at + 4;
    return values.map((value) => {
      if (value !== 0xffffffff || from + 8 > extra.length) return value;
      from += 8;
      return Number(extra.readBigUInt64LE(from - 8));
    }) as [number, number, number];
  }
  return values;
}
