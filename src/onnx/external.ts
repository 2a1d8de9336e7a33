// Tensors whose bytes lie in files beside the model. A location is relative to the model's folder and
// may not leave it, symbolic links included: a model must not make its reader open any other file.
// Where the model is itself a symbolic link (Hugging Face's cache), its real folder counts as well.

import assert from 'node:assert/strict';
import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { XformError } from '../errors/error.ts';
import { externalMissing, externalOutside, externalTooShort } from '../errors/model.ts';
import type { ByteSource } from '../tensor/tensor.ts';
import { FileSource, RangeBytes } from './source.ts';

export interface ExternalReference {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** Finds the bytes of external tensors. */
export interface ExternalData {
  bytes(reference: ExternalReference, where: string): ByteSource;
}

/** Notes which files a model refers to, and opens none. */
export class ExternalLocations implements ExternalData {
  readonly all = new Set<string>();

  bytes({ location, length }: ExternalReference): ByteSource {
    this.all.add(location);
    return { byteLength: length, read: () => assert.fail(`"${location}" is not open`) };
  }
}

/** The data files of one model. */
export class ExternalFiles implements ExternalData {
  readonly #folder: string;
  readonly #roots: readonly string[];
  readonly #files = new Map<string, FileSource>();

  /** `model` is undefined for a model that was not read from a file. */
  constructor(folder: string, model: string | undefined) {
    this.#folder = folder;
    const real = [folder, ...(model ? [dirname(realpath(model) ?? model)] : [])];
    this.#roots = real.map((path) => realpath(path) ?? resolve(path));
  }

  /** Fails, naming `where`, when the file is not to be used, missing or too short. */
  bytes({ location, offset, length }: ExternalReference, where: string): RangeBytes {
    const file = this.#files.get(location) ?? this.#open(location, where);
    if (offset + length > file.size) {
      throw externalTooShort(location, offset + length, file.size, where);
    }
    return new RangeBytes(file, offset, length);
  }

  #open(location: string, where: string): FileSource {
    const isPlain = location !== '' && !isAbsolute(location) && !location.includes('\0');
    const leaves = relative('.', location).split(sep)[0] === '..';
    if (!isPlain || leaves || /^[a-z]:|^\\/i.test(location)) {
      throw externalOutside(location, where);
    }
    const path = join(this.#folder, location);
    const real = realpath(path);
    if (real === undefined) throw externalMissing(location, where);
    if (!this.#roots.some((root) => isBelow(real, root))) throw externalOutside(location, where);
    const file = openData(real, location, where);
    this.#files.set(location, file);
    return file;
  }
}

function openData(path: string, location: string, where: string): FileSource {
  try {
    return FileSource.open(path);
  } catch (error) {
    if (!(error instanceof XformError)) throw error;
    if (error.code === 'model-not-found') throw externalMissing(location, where);
    throw new XformError({ kind: 'model', code: error.code, message: error.message, where });
  }
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && !isAbsolute(way) && way.split(sep)[0] !== '..';
}

function realpath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
