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

/** Entry points of this folder that are built beside the program. */
export type BuiltEntry = 'worker' | 'child' | 'web/child' | 'web/page';

export function builtEntry(name: BuiltEntry): string {
  const file = join(packageRoot(), 'dist', 'runtime', `${name}.js`);
  assert(existsSync(file), `${file} is missing: run "npm run build"`);
  return file;
}
