// Where the built program lies. Worker threads and child processes run the build in `dist`, also
// when tests run the sources.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const above = dirname(folder);
    assert(above !== folder, 'no package.json above the program');
    folder = above;
  }
  return folder;
}

/** A file that is built beside the program, by its path below `src`, without extension. */
export function builtFile(path: string): string {
  const file = join(packageRoot(), 'dist', `${path}.js`);
  assert(existsSync(file), `${file} is missing: run "npm run build"`);
  return file;
}
