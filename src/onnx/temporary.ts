// Files that are written aside and then take the place of others, whole or not at all.

import { randomBytes } from 'node:crypto';
import { unlinkSync, writeSync } from 'node:fs';
import { chmod, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Content, pour, type Sink } from './pour.ts';

/** Temporary files that exist; removed if the process ends before they are placed. */
const pending = new Set<string>();
let isWatching = false;

function removePending(): void {
  for (const path of pending) {
    try {
      unlinkSync(path);
    } catch {
      // Gone already.
    }
  }
}

/** Writes at once: a thread for every buffer costs more than it saves. */
export class FileSink implements Sink {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }
}

/** A complete, synced file under a name that nobody looks for. */
export class Temporary {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
    pending.add(path);
    if (!isWatching) process.once('exit', removePending);
    isWatching = true;
  }

  /** Beside `name` in `folder`, hence on the same file system. */
  static async write(folder: string, name: string, content: Content): Promise<Temporary> {
    const unique = randomBytes(4).toString('hex');
    const file = new Temporary(join(folder, `.${name.slice(0, 200)}.${unique}.tmp`));
    try {
      const handle = await open(file.#path, 'wx');
      try {
        await pour(content, new FileSink(handle.fd));
        await handle.sync();
      } finally {
        await handle.close();
      }
      return file;
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  /** Takes the place of `target`, at once, and its permissions. */
  async moveTo(target: string): Promise<void> {
    const old = await stat(target).catch(() => undefined);
    if (old) await chmod(this.#path, old.mode & 0o777).catch(() => {});
    await rename(this.#path, target);
    pending.delete(this.#path);
  }

  async discard(): Promise<void> {
    await rm(this.#path, { force: true });
    pending.delete(this.#path);
  }
}

/** Makes renames in a folder survive a power cut, where the system can. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
