// Temporary folders and files that are gone when the program ends, however it ends short of a kill.

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ByteSource, Tensor } from '../tensor/tensor.ts';

export interface Scratch {
  readonly path: string;
  remove(): void;
}

export function scratchFolder(): Scratch {
  const path = mkdtempSync(join(tmpdir(), 'xform-'));
  const remove = () => {
    process.off('exit', remove);
    rmSync(path, { recursive: true, force: true });
  };
  process.once('exit', remove);
  return { path, remove };
}

/** Tensors that wait outside of memory. */
export class ScratchFile {
  readonly #folder = scratchFolder();
  readonly #file = openSync(join(this.#folder.path, 'tensors'), 'w+');
  #size = 0;

  /** The same tensor, read from the file from now on. */
  keep({ dtype, shape, origin }: Tensor, bytes: Uint8Array): Tensor {
    const source = new Range(this.#file, this.#size, bytes.length);
    for (let at = 0; at < bytes.length; ) {
      at += writeSync(this.#file, bytes, at, bytes.length - at, this.#size + at);
    }
    this.#size += bytes.length;
    return new Tensor(dtype, shape, source, origin);
  }

  /** Tensors that were kept here cannot be read any more. */
  remove(): void {
    closeSync(this.#file);
    this.#folder.remove();
  }
}

class Range implements ByteSource {
  readonly #file: number;
  readonly #offset: number;
  readonly byteLength: number;

  constructor(file: number, offset: number, byteLength: number) {
    this.#file = file;
    this.#offset = offset;
    this.byteLength = byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    const into = new Uint8Array(length);
    this.readInto(offset, into);
    return into;
  }

  readInto(offset: number, into: Uint8Array): void {
    for (let at = 0; at < into.length; ) {
      at += readSync(this.#file, into, at, into.length - at, this.#offset + offset + at);
    }
  }
}
