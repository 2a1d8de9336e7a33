// Does memory grow while training: the resident size of the process every 100 of 1,000 and more chunks
// of 8 steps at most, of a network whose state is 1 MB, so that a state that is not let go would show as 1 GB.
// Writes bench/train-memory.md. Linux only: sizes are read from /proc.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { machine, program, root, xform } from './machine.mjs';

const CHUNKS = 1200;
const STEPS_OF_CHUNK = 8;
const EVERY = 100;
/** Chunks until the heap has found its size. */
const SETTLED = 300;

const folder = mkdtempSync(join(tmpdir(), 'xform-train-memory-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
xform('init', 'mlp', '--in', '1x8x8', '--hidden', '1100', '--classes', '10', '-o', at('m.onnx'));

/** A validation would end a chunk: there is none, but chunks end there. */
const args = ['train', at('m.onnx'), '--data', join(root, 'fixtures/digits-train.npz'), '--quiet'];
const flags = ['--steps', `${CHUNKS * STEPS_OF_CHUNK}`, '--eval-every', `${STEPS_OF_CHUNK}`];
const child = spawn(
  process.execPath,
  [program, ...args, ...flags, '--log', at('log'), '-o', at('o.onnx')],
  { stdio: ['ignore', 'ignore', 'inherit'] },
);
const ended = new Promise((resolve) => child.once('close', resolve));

const megabytes = () => {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
  return Number(kilobytes) / 1024;
};
const chunks = () =>
  existsSync(at('log')) ? readFileSync(at('log'), 'latin1').split('"train"').length - 1 : 0;

const sizes = [];
for (let next = EVERY; next <= CHUNKS - EVERY && child.exitCode === null; ) {
  await sleep(10);
  if (chunks() < next) continue;
  sizes.push({ chunks: next, size: megabytes() });
  next += EVERY;
}
if ((await ended) !== 0) throw new Error('the run failed');

const settled = sizes.filter(({ chunks: n }) => n >= SETTLED).map(({ size }) => size);
const half = Math.floor(settled.length / 2);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const growth = mean(settled.slice(-half)) - mean(settled.slice(0, half));
const text = `# Memory while training

${machine()}

An mlp of 64-1100-10, adamw: its state is 1 MB, and goes into and out of each of the ${CHUNKS} chunks of
${STEPS_OF_CHUNK} steps at most. From chunk ${SETTLED} on, the second half of the sizes is on average ${growth.toFixed(1)} MB above the first.

| chunks | resident, MB |
| ---: | ---: |
${sizes.map(({ chunks: n, size }) => `| ${n} | ${size.toFixed(0)} |`).join('\n')}
`;
writeFileSync(join(root, 'bench/train-memory.md'), text);
process.stdout.write(text);
