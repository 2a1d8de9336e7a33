// Where bytes come from: memory, or a file that is read by range. Files stay open while they are in
// use, so that a file replaced meanwhile does not change under a model read from it.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { cannotRead, fileChanged, modelIsFolder, modelNotFound } from '../errors/model.ts';
import type { ByteSource } from '../tensor/tensor.ts';

const WINDOW_BYTES = 1 << 15;
/** More than one file at a time matters only to models with a data file per tensor. */
const MAX_OPEN_FILES = 64;

export abstract class Source {
  readonly label: string;
  readonly size: number;
  /** The part that is in memory. */
  protected window: Uint8Array = new Uint8Array(0);
  protected windowStart = 0;

  constructor(label: string, size: number) {
    this.label = label;
    this.size = size;
  }

  /** One byte; `at` has to lie inside. */
  byte(at: number): number {
    const offset = at - this.windowStart;
    if (offset >= 0 && offset < this.window.length) return this.window[offset] as number;
    this.fill(at);
    return this.window[at - this.windowStart] as number;
  }

  /** Bytes to look at right away: the next call may overwrite them. */
  view(start: number, end: number): Uint8Array {
    if (end - start > WINDOW_BYTES) return this.read(start, end - start);
    if (start < this.windowStart || end > this.windowStart + this.window.length) this.fill(start);
    return this.window.subarray(start - this.windowStart, end - this.windowStart);
  }

  /** Bytes to keep. */
  abstract read(start: number, length: number): Uint8Array;

  protected abstract fill(at: number): void;
}

export class MemorySource extends Source {
  constructor(label: string, bytes: Uint8Array) {
    super(label, bytes.byteLength);
    this.window = bytes;
  }

  override view(start: number, end: number): Uint8Array {
    return this.window.subarray(start, end);
  }

  read(start: number, length: number): Uint8Array {
    return this.window.subarray(start, start + length);
  }

  protected fill(): void {}
}

/** Open files, least recently used first. */
const open = new Map<FileSource, number>();

export class FileSource extends Source {
  readonly #identity: string;
  readonly #path: string;
  #buffer: Uint8Array | undefined;

  private constructor(path: string, fd: number, size: number, identity: string) {
    super(path, size);
    this.#path = path;
    this.#identity = identity;
    keepOpen(this, fd);
  }

  static open(path: string): FileSource {
    const fd = openFile(path);
    const stat = fstatSync(fd);
    if (stat.isDirectory()) {
      closeSync(fd);
      throw modelIsFolder(path);
    }
    return new FileSource(path, fd, stat.size, identityOf(fd));
  }

  /** The descriptor; valid until another file is used. */
  get fd(): number {
    const known = open.get(this);
    const fd = known ?? this.#reopen();
    keepOpen(this, fd);
    return fd;
  }

  /** Not needed any more; reading on opens it again. */
  close(): void {
    const fd = open.get(this);
    open.delete(this);
    if (fd !== undefined) closeSync(fd);
  }

  #reopen(): number {
    const fd = openFile(this.#path);
    if (identityOf(fd) === this.#identity) return fd;
    closeSync(fd);
    throw fileChanged(this.#path);
  }

  read(start: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(bytes, start);
    return bytes;
  }

  /** Fills `bytes` from `start`. */
  readInto(bytes: Uint8Array, start: number): void {
    const { fd } = this;
    for (let done = 0; done < bytes.length; ) {
      const count = tryRead(this.#path, () =>
        readSync(fd, bytes, done, bytes.length - done, start + done),
      );
      if (count === 0) throw fileChanged(this.#path);
      done += count;
    }
  }

  protected fill(at: number): void {
    this.#buffer ??= new Uint8Array(WINDOW_BYTES);
    const bytes = this.#buffer.subarray(0, Math.min(WINDOW_BYTES, this.size - at));
    this.readInto(bytes, at);
    this.window = bytes;
    this.windowStart = at;
  }
}

function keepOpen(file: FileSource, fd: number): void {
  open.delete(file);
  open.set(file, fd);
  if (open.size <= MAX_OPEN_FILES) return;
  for (const [oldest, oldestFd] of open) {
    open.delete(oldest);
    closeSync(oldestFd);
    return;
  }
}

function openFile(path: string): number {
  return tryRead(path, () => openSync(path, 'r'));
}

function identityOf(fd: number): string {
  const { dev, ino, size, mtimeMs } = fstatSync(fd);
  return [dev, ino, size, mtimeMs].join(':');
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EMFILE: 'too many open files',
  EIO: 'the device reports an error',
  ELOOP: 'its symbolic links form a circle',
  ENOTDIR: 'a part of the path is not a folder',
  ENAMETOOLONG: 'the name is too long',
};

function tryRead<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw modelNotFound(path);
    if (code === 'EISDIR') throw modelIsFolder(path);
    throw cannotRead(path, REASONS[code ?? ''] ?? message, error);
  }
}

/** A stretch of a source, as the bytes of a tensor. */
export class RangeBytes implements ByteSource {
  readonly source: Source;
  readonly start: number;
  readonly byteLength: number;

  constructor(source: Source, start: number, byteLength: number) {
    this.source = source;
    this.start = start;
    this.byteLength = byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    return this.source.read(this.start + offset, length);
  }

  readInto(offset: number, into: Uint8Array): void {
    const { source } = this;
    if (source instanceof FileSource) source.readInto(into, this.start + offset);
    else into.set(source.read(this.start + offset, into.length));
  }
}
