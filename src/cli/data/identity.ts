// What data is, without reading it: which files, how large and from when, and what is done to them.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DataOptions } from '../../data/options.ts';

/** Equal where the same samples come in the same order. */
export function dataIdentity(path: string, options: DataOptions): string {
  // Without a split, the seed chooses nothing.
  const seed = options.split === undefined ? 0 : options.seed;
  return JSON.stringify([path, { ...options, seed }, filesOf(path)]);
}

function filesOf(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return [];
  if (!found.isDirectory()) return [`${found.size} ${found.mtimeMs}`];
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesOf(join(path, name)).map((file) => `${name}/${file}`));
}
