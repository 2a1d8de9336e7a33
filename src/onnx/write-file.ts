// Writes a model so that at every moment, also after a crash, the target is either the model that was
// there or the new one, each with its data.
//
// A model with a data file is two files, and no system renames two at once. Where `OUT.data` exists
// already, the new data first gets a name of its own, the model that refers to it takes its place,
// and only then, with nobody reading the old data any more, the data gets the name `OUT.data` too
// and the same model with that name in it follows. Every step leaves a pair that fits.

import { existsSync, realpathSync } from 'node:fs';
import { link, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { XformError } from '../errors/error.ts';
import { cannotWrite, modelTooLarge } from '../errors/model.ts';
import type { Model } from '../graph/index.ts';
import { chooseDataName, currentDataFiles, removeOrphans } from './data-file.ts';
import type { Message, Piece } from './message.ts';
import { pour, type Sink } from './pour.ts';
import { RangeBytes } from './source.ts';
import { DataFile, INLINE, MAX_MESSAGE_BYTES } from './storage.ts';
import { HandleSink, syncFolder, Temporary } from './temporary.ts';
import { layOut } from './write-model.ts';

export interface WriteOptions {
  /** Weights go to one file beside the model, whatever its size. */
  readonly externalData?: boolean;
}

export interface WriteSummary {
  readonly path: string;
  readonly bytes: number;
  /** Where the weights are, if not in the model. */
  readonly dataPath: string | undefined;
  readonly dataBytes: number;
}

/** Writes a model, and its weights beside it if they are asked for there or do not fit. */
export async function writeModel(
  model: Model,
  path: string,
  options: WriteOptions = {},
): Promise<WriteSummary> {
  try {
    const target = existsSync(path) ? realpathSync(path) : resolve(path);
    const old = await stat(target).catch(() => undefined);
    if (old && !old.isFile()) return await writeInto(model, path, target);
    const message = layOut(model, INLINE);
    if (options.externalData || message.size > MAX_MESSAGE_BYTES) {
      return await writePair(model, path, target);
    }
    const before = currentDataFiles(target);
    const file = await Temporary.write(dirname(target), basename(target), message.pieces());
    await file.moveTo(target);
    await syncFolder(dirname(target));
    await removeOrphans(target, before, undefined);
    return { path, bytes: message.size, dataPath: undefined, dataBytes: 0 };
  } catch (error) {
    throw explained(error, path);
  }
}

/** Devices and pipes have no place to take: the model goes into them. */
async function writeInto(model: Model, path: string, target: string): Promise<WriteSummary> {
  const message = inOneMessage(model);
  const handle = await open(target, 'w');
  try {
    await pour(message.pieces(), new HandleSink(handle));
  } finally {
    await handle.close();
  }
  return { path, bytes: message.size, dataPath: undefined, dataBytes: 0 };
}

async function writePair(model: Model, path: string, target: string): Promise<WriteSummary> {
  const folder = dirname(target);
  const before = currentDataFiles(target);
  const name = await chooseDataName(target);
  const final = withDataFile(model, name);
  const { message, data } = final;
  const dataPath = join(folder, name);
  const dataTemporary = await Temporary.write(folder, name, dataPieces(data));
  const temporaries = [dataTemporary];
  try {
    const modelTemporary = await Temporary.write(folder, basename(target), message.pieces());
    temporaries.push(modelTemporary);
    if (!existsSync(dataPath)) {
      await dataTemporary.moveTo(dataPath);
      await modelTemporary.moveTo(target);
    } else {
      const interim = `${name}.new`;
      const first = withDataFile(model, interim).message;
      const firstTemporary = await Temporary.write(folder, basename(target), first.pieces());
      temporaries.push(firstTemporary);
      await dataTemporary.moveTo(join(folder, interim));
      await firstTemporary.moveTo(target);
      await syncFolder(folder);
      await giveName(join(folder, interim), dataPath);
      await modelTemporary.moveTo(target);
      await rm(join(folder, interim));
    }
    await syncFolder(folder);
  } finally {
    for (const temporary of temporaries) await temporary.discard();
  }
  await removeOrphans(target, before, name);
  return { path, bytes: message.size, dataPath, dataBytes: data.size };
}

/** Lets a file be found under a second name, which another file had. */
async function giveName(path: string, name: string): Promise<void> {
  const second = `${path}.link`;
  await rm(second, { force: true });
  await link(path, second);
  await rename(second, name);
  await syncFolder(dirname(name));
}

function withDataFile(model: Model, location: string): { message: Message; data: DataFile } {
  // Tensors of attributes stay where they are, unless the message is too large with them.
  let size = 0;
  for (const takesAttributes of [false, true]) {
    const data = new DataFile(location, takesAttributes);
    const message = layOut(model, data);
    if (message.size <= MAX_MESSAGE_BYTES) return { message, data };
    size = message.size;
  }
  throw modelTooLarge(size, MAX_MESSAGE_BYTES, 'Even without its weights it is too large.');
}

function* dataPieces(data: DataFile): Generator<Piece> {
  let at = 0;
  for (const { tensor, offset } of data.tensors) {
    yield new Uint8Array(offset - at);
    const { source, byteLength } = tensor;
    if (source instanceof RangeBytes) {
      yield { source: source.source, start: source.start, end: source.start + byteLength };
    } else yield { tensor };
    at = offset + byteLength;
  }
}

function inOneMessage(model: Model): Message {
  const message = layOut(model, INLINE);
  if (message.size <= MAX_MESSAGE_BYTES) return message;
  throw modelTooLarge(
    message.size,
    MAX_MESSAGE_BYTES,
    'Write it to a file: its weights then go to a second file beside it.',
  );
}

/** The model as one message in memory, external data included. */
export async function encodeModel(model: Model): Promise<Uint8Array> {
  const message = inOneMessage(model);
  const bytes = new Uint8Array(message.size);
  let at = 0;
  await pour(message.pieces(), {
    async write(chunk) {
      bytes.set(chunk, at);
      at += chunk.length;
    },
  });
  return bytes;
}

/** The model as one message to a stream, which stays open; returns its length in bytes. */
export async function writeModelTo(model: Model, stream: NodeJS.WritableStream): Promise<number> {
  const message = inOneMessage(model);
  await pour(message.pieces(), new StreamSink(stream));
  return message.size;
}

class StreamSink implements Sink {
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of disk space is used up',
  EFBIG: 'the file system allows no file of this size',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'it is a folder',
  ENAMETOOLONG: 'the name is too long',
};

function explained(error: unknown, path: string): unknown {
  if (error instanceof XformError || !(error instanceof Error) || !('syscall' in error)) {
    return error;
  }
  const { code, message } = error as NodeJS.ErrnoException;
  return cannotWrite(path, REASONS[code ?? ''] ?? message, error);
}
