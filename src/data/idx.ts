// The MNIST family: idx files, big-endian, with the labels in a file beside the images.
// Format: http://yann.lecun.com/exdb/mnist, "the IDX file format".

import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { brokenFile } from '../errors/data.ts';
import { byteLengthOf, type DType, elementCount } from '../tensor/dtype.ts';
import type { ByteSource } from '../tensor/tensor.ts';
import { arrayDataset } from './batch.ts';
import type { Dataset } from './dataset.ts';
import type { DataKind } from './kind.ts';
import { type ArraySource, after, BytesSource, FileSource, StoredArray } from './source.ts';

const NAME = /idx\d-ubyte(\.gz)?$|\.idx\d?(\.gz)?$/i;

const DTYPES: Readonly<Record<number, DType>> = {
  8: 'uint8',
  9: 'int8',
  11: 'int16',
  12: 'int32',
  13: 'float32',
  14: 'float64',
};

export const idx: DataKind = {
  summary: 'MNIST images (images-idx3-ubyte[.gz], labels beside them)',
  matches: (path, isFolder) => !isFolder && NAME.test(path),
  async open({ path, inputs, options }): Promise<Dataset> {
    const images = readIdx(path, 'images');
    const labels = labelsBeside(path);
    const sources = labels ? [images, readIdx(labels, 'labels')] : [images];
    return arrayDataset(path, sources, inputs, options);
  },
};

/** `train-images-idx3-ubyte.gz` → `train-labels-idx1-ubyte.gz`, packed or not. */
function labelsBeside(path: string): string | undefined {
  const name = basename(path).replace('images', 'labels').replace(/idx\d/, 'idx1');
  if (name === basename(path)) return undefined;
  const bare = name.replace(/\.gz$/, '');
  return [bare, `${bare}.gz`].map((n) => join(dirname(path), n)).find((file) => existsSync(file));
}

function readIdx(path: string, name: string): ArraySource {
  const bytes = openBytes(path);
  const head = Buffer.from(bytes.read(0, Math.min(4, bytes.byteLength)));
  const dtype = DTYPES[head[2] ?? 0];
  const rank = head[3] ?? 0;
  const start = 4 + 4 * rank;
  if (head.length < 4 || head.readUInt16BE(0) !== 0 || !dtype || bytes.byteLength < start) {
    throw brokenFile(path, 'this is not an idx file');
  }
  const sizes = Buffer.from(bytes.read(4, 4 * rank));
  const shape = Array.from({ length: rank }, (_, i) => sizes.readUInt32BE(4 * i));
  const expected = byteLengthOf(dtype, elementCount(shape));
  const found = bytes.byteLength - start;
  if (found < expected) {
    throw brokenFile(
      path,
      `the header says [${shape.join(', ')}], which takes ${expected} bytes, but ${found} are there`,
    );
  }
  return new StoredArray({ name, where: path, dtype, shape }, after(bytes, start), {
    bigEndian: true,
  });
}

function openBytes(path: string): ByteSource {
  if (!/\.gz$/i.test(path)) return new FileSource(path, 0, statSync(path).size);
  try {
    return new BytesSource(gunzipSync(readFileSync(path)));
  } catch (error) {
    throw brokenFile(path, `the file cannot be unpacked: ${(error as Error).message}`);
  }
}
