// Which name the data file of a written model gets, and which data files nobody needs any more.

import { existsSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { XformError } from '../errors/error.ts';
import { dataFilesOf } from './read-model.ts';

/** Data files of the model that stands at `path`; none if no readable model is there. */
export function currentDataFiles(path: string): ReadonlySet<string> {
  if (!existsSync(path)) return new Set();
  try {
    return dataFilesOf(path);
  } catch (error) {
    if (error instanceof XformError) return new Set();
    throw error;
  }
}

/** The first of `name`, `name2`, `name3` … that is not taken. */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  let free = name;
  for (let i = 2; taken.has(free); i++) free = `${name}${i}`;
  return free;
}

/** Removes data files that the model before had, and neither the new one nor any beside it has. */
export async function removeOrphans(
  target: string,
  before: ReadonlySet<string>,
  now: string | undefined,
): Promise<void> {
  // Only files right beside the model: what lies elsewhere may serve models elsewhere.
  const candidates = [...before].filter((file) => file !== now && basename(file) === file);
  if (candidates.length === 0) return;
  const needed = await dataFilesOfOthers(target);
  for (const file of candidates) {
    const path = join(dirname(target), file);
    const stat = await lstat(path).catch(() => undefined);
    if (stat?.isFile() && !needed.has(file)) await rm(path, { force: true });
  }
}

/** Data files of the other models in the folder. */
export async function dataFilesOfOthers(target: string): Promise<Set<string>> {
  const folder = dirname(target);
  const files = new Set<string>();
  for (const entry of await readdir(folder)) {
    if (!entry.endsWith('.onnx') || entry === basename(target)) continue;
    for (const file of currentDataFiles(join(folder, entry))) files.add(file);
  }
  return files;
}
