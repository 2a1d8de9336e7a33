// A file that is open while something is read of it, and no longer.

import { closeSync, openSync, readSync } from 'node:fs';

export function withFile<T>(path: string, use: (file: number) => T): T {
  const file = openSync(path, 'r');
  try {
    return use(file);
  } finally {
    closeSync(file);
  }
}

/** `length` bytes from `start` on; fewer where the file ends. */
export function readAt(file: number, start: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, start));
}
