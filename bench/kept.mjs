// What a bench has found so far. A first argument with a slash in it names the folder that keeps it: a run
// that was stopped goes on there. Other arguments are words that select parts.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function keptRun(name) {
  const given = process.argv[2]?.includes('/') ? process.argv[2] : undefined;
  const folder = given ?? mkdtempSync(join(tmpdir(), `xform-${name}-`));
  mkdirSync(folder, { recursive: true });
  if (!given) process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const words = process.argv.slice(given ? 3 : 2);
  const file = join(folder, 'facts.json');
  const found = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  return {
    folder,
    words,
    found,
    /** Whether what was found is worth a table: all of it, or all that is kept. */
    isTold: words.length === 0 || given !== undefined,
    remember(key, value) {
      found[key] = value;
      writeFileSync(file, JSON.stringify(found));
    },
  };
}
