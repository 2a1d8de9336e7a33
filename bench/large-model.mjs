// Large models: memory of reading and rewriting, speed against `cp` and, where the peers are there,
// against Python's onnx. Writes bench/large-model.md.
//
//   node bench/large-model.mjs [--gb 12] [--folder DIR]

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine, median, peersPython, program, root } from './machine.mjs';

const { values } = parseArgs({
  options: { gb: { type: 'string', default: '12' }, folder: { type: 'string', default: tmpdir() } },
});
const GB = 1e9;
const MB = 1e6;
const ROUNDS = 5;
const folder = mkdtempSync(join(values.folder, 'xform-large-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const lib = at('tasks.mjs');
execFileSync(join(root, 'node_modules/.bin/esbuild'), [
  join(root, 'bench/large-model.ts'),
  '--bundle',
  '--platform=node',
  '--format=esm',
  '--log-level=error',
  `--outfile=${lib}`,
]);

function task(...args) {
  const run = spawnSync(process.execPath, [lib, ...args.map(String)], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${args[0]}: ${run.stderr}`);
  return JSON.parse(run.stdout);
}

/** Peak memory of a command of the program itself. */
function programPeak(...args) {
  const hook = `process.on('exit',()=>process.stderr.write('\\npeak='+process.resourceUsage().maxRSS*1024))`;
  const url = `data:text/javascript,${encodeURIComponent(hook)}`;
  const start = performance.now();
  const run = spawnSync(process.execPath, ['--import', url, program, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const peak = Number(/peak=(\d+)/.exec(run.stderr)?.[1]);
  return { ms: performance.now() - start, peak, code: run.status };
}

const PYTHON = `
import json, os, resource, sys, time
import onnx
start = time.perf_counter()
model = onnx.load(sys.argv[1])
onnx.save(model, sys.argv[2])
saved = time.perf_counter()
with open(sys.argv[2], 'rb') as f:
    os.fsync(f.fileno())
synced = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({'ms': 1000 * (saved - start), 'synced': 1000 * (synced - start), 'peak': peak}))
`;

function python(source, out) {
  const run = spawnSync(peersPython(), ['-c', PYTHON, source, out], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout);
}

/** What `cp` takes, until the copy is on the disk as xform's is. */
function copy(source, out) {
  const start = performance.now();
  execFileSync('cp', ['--reflink=never', '--sparse=never', source, out]);
  const copied = performance.now();
  execFileSync('sync', [out]);
  return { ms: copied - start, synced: performance.now() - start };
}

const say = (text) => process.stdout.write(`${text}\n`);
const mb = (bytes) => `${(bytes / MB).toFixed(0)} MB`;
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const lines = [];

function memorySection() {
  const bytes = Number(values.gb) * GB;
  const path = at('sparse.onnx');
  const { found } = task('sparse', path, bytes, Math.max(1, Math.round(bytes / (128 * MB))));
  lines.push('', `## Memory: ${(found.bytes / GB).toFixed(1)} GB of external weights`, '');
  lines.push(
    'Largest tensor: 128 MB. The data file is sparse: it has its size, but no content.',
    '',
  );
  lines.push('| task | time | peak memory |', '| --- | --- | --- |');
  const row = (name, { ms, peak }) => {
    lines.push(`| ${name} | ${seconds(ms)} | ${mb(peak)} |`);
    say(lines.at(-1));
  };
  row('read (all structure, no weights)', task('read', path));
  if (existsSync(join(root, 'dist/cli/main.js'))) {
    const inspected = programPeak('inspect', path, '--json');
    if (inspected.code === 0) row('`xform inspect`', inspected);
  }
  row('rewrite with its data beside it', task('rewrite', path, at('out.onnx'), 'external'));
  for (const name of ['sparse.onnx', 'out.onnx']) {
    rmSync(at(name));
    rmSync(at(`${name}.data`));
  }
}

function speedSection() {
  const path = at('speed.onnx');
  task('make', path, Math.min(2, Number(values.gb)) * GB, 24, 'external');
  const bytes = statSync(`${path}.data`).size;
  const ours = [];
  const theirs = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(task('rewrite', path, at('out.onnx'), 'external'));
    rmSync(at('out.onnx.data'));
    rmSync(at('out.onnx'));
    theirs.push(copy(`${path}.data`, at('copy.data')));
    rmSync(at('copy.data'));
    say(`rewrite ${seconds(ours.at(-1).ms)}, cp ${seconds(theirs.at(-1).synced)}`);
  }
  const rewrite = median(ours.map((run) => run.ms));
  const copied = median(theirs.map((run) => run.synced));
  lines.push('', `## Speed: ${(bytes / GB).toFixed(1)} GB of external weights, rewritten`, '');
  lines.push(
    `Medians of ${ROUNDS} rounds, in turn, until the bytes are on the disk (fsync); the ratio is the`,
    'median of the ratios of the rounds.',
    '',
  );
  lines.push('| | time | GB/s | of `cp` |', '| --- | --- | --- | --- |');
  const ratio = median(ours.map((run, i) => theirs[i].synced / run.ms));
  const rate = (ms) => (bytes / GB / (ms / 1000)).toFixed(2);
  lines.push(`| xform | ${seconds(rewrite)} | ${rate(rewrite)} | ${ratio.toFixed(2)} |`);
  lines.push(`| \`cp\`, \`sync\` | ${seconds(copied)} | ${rate(copied)} | 1.00 |`);
  lines.push('', `Peak memory of xform: ${mb(Math.max(...ours.map((run) => run.peak)))}.`);
  rmSync(path);
  rmSync(`${path}.data`);
}

function inlineSection() {
  const path = at('inline.onnx');
  task('make', path, 1.5 * GB, 300, 'inline');
  const bytes = statSync(path).size;
  const ours = [];
  const theirs = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(task('rewrite', path, at('out.onnx'), 'inline'));
    rmSync(at('out.onnx'));
    if (!peersPython()) continue;
    theirs.push(python(path, at('python.onnx')));
    rmSync(at('python.onnx'));
    say(`xform ${seconds(ours.at(-1).ms)}, onnx ${seconds(theirs.at(-1).synced)}`);
  }
  rmSync(path);
  lines.push('', `## One file of ${(bytes / GB).toFixed(2)} GB, 300 weights: load and save`, '');
  lines.push('xform always syncs what it writes; Python is shown without and with it.', '');
  lines.push('| | time | peak memory |', '| --- | --- | --- |');
  const own = median(ours.map((run) => run.ms));
  const peak = Math.max(...ours.map((run) => run.peak));
  lines.push(`| xform, synced | ${seconds(own)} | ${mb(peak)} |`);
  if (theirs.length === 0) return;
  const [plain, synced] = ['ms', 'synced'].map((key) => median(theirs.map((run) => run[key])));
  const memory = Math.min(...theirs.map((run) => run.peak));
  lines.push(`| Python onnx | ${seconds(plain)} | ${mb(memory)} |`);
  lines.push(`| Python onnx, synced | ${seconds(synced)} | ${mb(memory)} |`);
  const [a, b, c] = [own / synced, own / plain, peak / memory].map((x) => x.toFixed(2));
  lines.push('', `xform takes ${a} of its time synced (${b} unsynced) and ${c} of its memory.`);
}

lines.push('# Large models', '', machine());
memorySection();
speedSection();
inlineSection();
writeFileSync(join(root, 'bench/large-model.md'), `${lines.join('\n')}\n`);
say(lines.join('\n'));
