// Large models: memory does not grow with the weights. The tasks are those of bench/large-model.mjs,
// each in a process of its own.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';

const MB = 1e6;
const folder = mkdtempSync(join(tmpdir(), 'xform-large-'));
const tasks = join(folder, 'tasks.mjs');
const path = join(folder, 'm.onnx');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  const options = ['--bundle', '--platform=node', '--format=esm', '--log-level=error'];
  const args = ['bench/large-model.ts', ...options, `--outfile=${tasks}`];
  execFileSync('node_modules/.bin/esbuild', args);
});

function run(...args: (string | number)[]): { peak: number; found: Record<string, number> } {
  return JSON.parse(
    execFileSync(process.execPath, [tasks, ...args.map(String)], { encoding: 'utf8' }),
  );
}

it('12 GB of weights are read within 300 MB', () => {
  const { found } = run('sparse', path, 12e9, 2000);
  expect(found['bytes']).toBeGreaterThan(11.9e9);
  const read = run('read', path);
  expect(read.found).toEqual({ nodes: 2000, initializers: 2000 });
  expect(read.peak).toBeLessThan(300 * MB);
  rmSync(`${path}.data`);
});

it('500 MB of weights are rewritten within 200 MB, to the same bytes', () => {
  run('make', path, 500e6, 4, 'external');
  const out = join(folder, 'out.onnx');
  const written = run('rewrite', path, out, 'external');
  expect(written.peak).toBeLessThan(200 * MB);
  expect(statSync(`${out}.data`).size).toBe(statSync(`${path}.data`).size);
  execFileSync('cmp', [`${path}.data`, `${out}.data`]);
  const inline = run('rewrite', path, out, 'inline');
  expect(inline.peak).toBeLessThan(200 * MB);
  expect(statSync(out).size).toBeGreaterThan(499e6);
});
