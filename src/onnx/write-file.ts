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
import { cannotWrite, modelTooLarge } from '../errors/model.ts';
import type { Model } from '../graph/index.ts';
import { currentDataFiles, dataFilesOfOthers, freeName, removeOrphans } from './data-file.ts';
import type { Message } from './message.ts';
import { pour, type Sink } from './pour.ts';
import { DataFile, INLINE, MAX_MESSAGE_BYTES } from './storage.ts';
import { FileSink, syncFolder, Temporary } from './temporary.ts';
import { layOut } from './write-model.ts';

export interface WriteOptions {
  /** Weights go to one file beside the model, whatever its size. */
  readonly externalData?: boolean;
  /** Name of that file, where there is one; left out: `OUT.data`. */
  readonly dataName?: string;
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
    const before = currentDataFiles(target);
    const name = await writeFiles(model, target, before, options);
    await syncFolder(dirname(target));
    await removeOrphans(target, before, name);
    const dataPath = name === undefined ? undefined : join(dirname(target), name);
    const bytes = (await stat(target)).size;
    return { path, bytes, dataPath, dataBytes: dataPath ? (await stat(dataPath)).size : 0 };
  } catch (error) {
    throw explained(error, path);
  }
}

/** Devices and pipes have no place to take: the model goes into them. */
async function writeInto(model: Model, path: string, target: string): Promise<WriteSummary> {
  const message = inOneMessage(model);
  const handle = await open(target, 'w');
  try {
    await pour(message, new FileSink(handle.fd));
  } finally {
    await handle.close();
  }
  return { path, bytes: message.size, dataPath: undefined, dataBytes: 0 };
}

/** Returns the name of the data file, if there is one. */
async function writeFiles(
  model: Model,
  target: string,
  before: ReadonlySet<string>,
  options: WriteOptions,
): Promise<string | undefined> {
  const [folder, file] = [dirname(target), basename(target)];
  const inline = options.externalData ? undefined : layOut(model, INLINE);
  if (inline && inline.size <= MAX_MESSAGE_BYTES) {
    const temporary = await Temporary.write(folder, file, inline);
    await temporary.moveTo(target);
    return undefined;
  }
  const others = await dataFilesOfOthers(target);
  const name = freeName(options.dataName ?? `${file}.data`, others);
  const { message, data } = withDataFile(model, name);
  const temporaries: Temporary[] = [];
  const write = async (content: Message | DataFile) => {
    const temporary = await Temporary.write(folder, file, content);
    temporaries.push(temporary);
    return temporary;
  };
  try {
    if (data.size === 0) {
      await (await write(message)).moveTo(target);
      return undefined;
    }
    const pair = { data: await write(data), model: await write(message) };
    if (existsSync(join(folder, name))) {
      const interim = freeName(`${name}.new`, new Set([...others, ...before]));
      const first = await write(withDataFile(model, interim).message);
      return await replaceBoth(target, name, interim, { ...pair, first });
    }
    await pair.data.moveTo(join(folder, name));
    await pair.model.moveTo(target);
    return name;
  } finally {
    for (const temporary of temporaries) await temporary.discard();
  }
}

/** Both files take the places of others; returns the name that the data ends up with. */
async function replaceBoth(
  target: string,
  name: string,
  interim: string,
  files: { data: Temporary; first: Temporary; model: Temporary },
): Promise<string> {
  const folder = dirname(target);
  const path = join(folder, interim);
  await files.data.moveTo(path);
  await files.first.moveTo(target);
  await syncFolder(folder);
  // Without a second name for the same data the model has to stay with the first.
  if (!(await giveName(path, join(folder, name)))) return interim;
  await syncFolder(folder);
  await files.model.moveTo(target);
  await rm(path);
  return name;
}

/** Lets a file be found under a name that another file had; false where no file has two names. */
async function giveName(path: string, name: string): Promise<boolean> {
  const second = `${path}.link`;
  await rm(second, { force: true });
  const isLinked = await link(path, second).then(
    () => true,
    () => false,
  );
  if (isLinked) await rename(second, name);
  return isLinked;
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
  await pour(message, {
    write(chunk) {
      bytes.set(chunk, at);
      at += chunk.length;
    },
  });
  return bytes;
}

/** The model as one message to a stream, which stays open; returns its length in bytes. */
export async function writeModelTo(model: Model, stream: NodeJS.WritableStream): Promise<number> {
  const message = inOneMessage(model);
  await pour(message, new StreamSink(stream));
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

/** Errors of the system, in words; all others as they are. */
function explained(error: unknown, path: string): unknown {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error;
  return cannotWrite(path, REASONS[code ?? ''] ?? message, error);
}
