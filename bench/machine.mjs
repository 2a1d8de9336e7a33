// What the figures were measured on, and what the benchmarks share.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const program = join(root, 'bin/run.js');

/** A sentence for the head of each table. */
export function machine() {
  const cores = cpus();
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return `${cores.length} cores of ${cores[0].model.trim()}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}; a shared machine: read ratios, not times.`;
}

/** The Python of the optional virtual environment with peers; undefined where nobody made it. */
export function peersPython() {
  const python = join(root, '.peers/bin/python');
  return existsSync(python) ? python : undefined;
}

/** Real models outside of the repository, if they are there. */
export function sharedModels() {
  const folder = process.env.XFORM_SHARED ?? join(root, '../shared');
  const models = join(folder, 'models');
  if (!existsSync(models)) return [];
  return readdirSync(models)
    .filter((file) => file.endsWith('.onnx'))
    .sort()
    .map((file) => join(models, file));
}

/** Runs xform and returns its JSON report; undefined when it failed. */
export function xform(...args) {
  const run = spawnSync(process.execPath, [program, ...args, '--json'], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  try {
    return JSON.parse(run.stdout);
  } catch {
    return { error: { message: run.stderr.slice(0, 500) } };
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
