// Regenerates every table under bench/, one after the other.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
for (const name of [
  'startup',
  'gold',
  'optimize',
  'large-model',
  'quantize',
  'quantize-models',
  'transformersjs',
  'quantize-scales',
  'prune-coverage',
  'prune-speed',
  'prune-accuracy',
  'gradient-coverage',
  'train',
  'tabular',
  'train-speed',
  'distill',
  'incremental',
  'qat',
]) {
  const file = join(root, 'bench', `${name}.mjs`);
  if (!existsSync(file)) continue;
  process.stdout.write(`== ${name}\n`);
  const { status } = spawnSync(process.execPath, [file], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
