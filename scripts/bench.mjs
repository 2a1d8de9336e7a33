// Regenerates every table under bench/, one after the other: `make bench`. Words select some of them.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'bench');
/** What benchmarks share, or run by themselves. */
const PARTS = ['machine', 'ort-basic'];
const words = process.argv.slice(2);
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -4))
  .filter((name) => !PARTS.includes(name) && (words.length === 0 || words.includes(name)));
for (const name of names.sort()) {
  process.stdout.write(`== ${name}\n`);
  const file = join(folder, `${name}.mjs`);
  const { status } = spawnSync(process.execPath, [file], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
