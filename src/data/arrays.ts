// NumPy files: one array in a .npy, named arrays in a .npz.

import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { brokenFile } from '../errors/data.ts';
import { arrayDataset } from './batch.ts';
import type { Dataset } from './dataset.ts';
import type { DataKind } from './kind.ts';
import { readNpy } from './npy.ts';
import { type ArraySource, FileSource } from './source.ts';
import { openEntry, readDirectory } from './zip.ts';

export const npy: DataKind = {
  summary: 'a NumPy array (.npy)',
  matches: (path, isFolder) => !isFolder && /\.npy$/i.test(path),
  async open({ path, inputs, options }): Promise<Dataset> {
    const bytes = new FileSource(path, 0, statSync(path).size);
    const array = readNpy(bytes, basename(path).replace(/\.npy$/i, ''), path);
    return arrayDataset(path, [array], inputs, options);
  },
};

export const npz: DataKind = {
  summary: 'NumPy arrays by name (.npz)',
  matches: (path, isFolder) => !isFolder && /\.npz$/i.test(path),
  async open({ path, inputs, options }): Promise<Dataset> {
    const entries = readDirectory(path).filter((entry) => entry.name.endsWith('.npy'));
    if (entries.length === 0) throw brokenFile(path, 'the archive holds no arrays (.npy entries)');
    const arrays: ArraySource[] = [];
    for (const entry of entries) {
      const name = entry.name.replace(/\.npy$/, '');
      const where = `${path}: entry "${name}"`;
      arrays.push(readNpy(await openEntry(path, entry), name, where));
    }
    return arrayDataset(path, arrays, inputs, options);
  },
};
