// A training run on disk: all of its state in one file of the safetensors format (8 bytes length, JSON
// header with types, shapes and offsets, then the bytes), where everything that is not a tensor stands
// in `__metadata__`. Written aside, synced and renamed: a kill at any moment leaves the old file or the
// new one.

import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { badCheckpoint, checkpointNotWritten } from '../errors/train.ts';
import type { DType } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';

export interface Checkpoint {
  readonly state: ReadonlyMap<string, Tensor>;
  /** What is not a tensor: position, settings, history. */
  readonly facts: Readonly<Record<string, unknown>>;
}

const CODES: Partial<Record<DType, string>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};
const KIND = 'xform-training';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Writes it whole or leaves what was there. */
export function writeCheckpoint(path: string, { state, facts }: Checkpoint): void {
  const header: Record<string, Entry | object> = {
    __metadata__: { format: KIND, facts: JSON.stringify(facts) },
  };
  let at = 0;
  for (const [name, { dtype, shape, byteLength }] of state) {
    header[name] = { dtype: CODES[dtype] ?? dtype, shape, data_offsets: [at, at + byteLength] };
    at += byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc(-text.length & 7, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const part = `${path}.part`;
  try {
    const file = openSync(part, 'w');
    try {
      writeAll(file, length);
      writeAll(file, padded);
      for (const tensor of state.values()) writeAll(file, tensor.bytes());
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(part, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(part, { force: true });
    throw checkpointNotWritten(path, error instanceof Error ? error.message : String(error));
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** Makes the rename last through a power cut, where the system can. */
function syncFolder(folder: string): void {
  try {
    const handle = openSync(folder, 'r');
    fsyncSync(handle);
    closeSync(handle);
  } catch {
    // Folders cannot be opened everywhere.
  }
}

export function readCheckpoint(path: string): Checkpoint {
  const bytes = readFileSync(path);
  const { header, start } = headerOf(path, bytes);
  const { __metadata__: metadata, ...entries } = header;
  const { format, facts } = (metadata ?? {}) as { format?: string; facts?: string };
  if (format !== KIND || !facts) throw badCheckpoint(path, 'it is not one of a training run');
  const state = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries(entries)) {
    const type = (Object.keys(CODES) as DType[]).find((key) => CODES[key] === dtype);
    if (!type || start + at[1] > bytes.length) throw badCheckpoint(path, `"${name}" is damaged`);
    // A copy of its own: state is handed over to the runtime.
    const own = new Uint8Array(bytes.subarray(start + at[0], start + at[1]));
    state.set(name, Tensor.fromBytes(type, shape, own));
  }
  return { state, facts: JSON.parse(facts) as Record<string, unknown> };
}

function headerOf(path: string, bytes: Buffer) {
  try {
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, Entry> & {
      __metadata__?: unknown;
    };
    return { header, start };
  } catch {
    throw badCheckpoint(path, 'it cannot be read');
  }
}
