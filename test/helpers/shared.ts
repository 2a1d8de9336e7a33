// Material that stands beside the checkout and is no part of it: tests that need it are skipped where
// it is absent, and say so.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve('..', 'shared');

/** The path of a shared file or folder; undefined, with a printed line, where it is absent. */
export function sharedPath(...parts: string[]): string | undefined {
  const path = join(ROOT, ...parts);
  if (existsSync(path)) return path;
  process.stdout.write(`skipped: ${join('..', 'shared', ...parts)} is not here\n`);
  return undefined;
}
