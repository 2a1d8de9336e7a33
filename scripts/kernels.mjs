// Which kernels onnxruntime's providers have, found by trying: tiny models (scripts/kernels/), each
// loaded and run in a child process, because some end the process that tries them. Unknown providers
// run on the CPU in silence, and types without a kernel are cast: so the log of where nodes were
// placed, and how many there are, is read too. WebGPU needs a Chromium (CHROME_PATH). Writes
// src/targets/kernels.json.
//
//   node scripts/kernels.mjs                          everything, after an update of onnxruntime;
//                                                     --cuda: CUDA is tried, too, not looked up
//   node scripts/kernels.mjs --target cpu KERNEL…     tries a few and prints what was found

import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { documentedCuda } from './kernels/documentation.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: flags, positionals: only } = parseArgs({
  options: { target: { type: 'string', multiple: true }, cuda: { type: 'boolean' } },
  allowPositionals: true,
});

/** Targets that may be tried here: runtime, provider, and what the log calls the provider. */
const TRIED = {
  cpu: { kind: 'node', provider: 'cpu', placed: 'CPUExecutionProvider' },
  cuda: { kind: 'node', provider: 'cuda', placed: 'CUDAExecutionProvider' },
  'web-wasm': { kind: 'web', provider: 'wasm', placed: 'CPUExecutionProvider' },
  'web-webgpu': { kind: 'page', provider: 'webgpu', placed: 'WebGpuExecutionProvider' },
};

// Inside the package, so that the runtimes are found.
const folder = mkdtempSync(join(root, 'node_modules', '.kernels-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const bundles = { child: join(folder, 'child.mjs'), trials: join(folder, 'trials.mjs') };
await build({
  absWorkingDir: root,
  entryPoints: { child: 'scripts/kernels/child.ts', trials: 'scripts/kernels/trials.ts' },
  outdir: folder,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  format: 'esm',
  platform: 'node',
  external: ['onnxruntime-node', 'onnxruntime-web', 'playwright-core'],
  logLevel: 'warning',
});
const { TRIALS } = await import(pathToFileURL(bundles.trials).href);
const trials = new Map(TRIALS.map((trial) => [trial.kernel, trial]));

/** What became of each kernel: the text between its start and its end, and its answer, if it came. */
function attempt({ kind, provider }, names) {
  const found = new Map();
  for (let left = names; left.length > 0; left = left.filter((name) => !found.has(name))) {
    writeFileSync(join(folder, 'names.json'), JSON.stringify(left));
    const args = [bundles.child, kind, provider, join(folder, 'names.json')];
    // A file takes all that is written at once; a pipe may refuse it.
    const file = openSync(join(folder, 'log'), 'w');
    const { signal, status } = spawnSync(process.execPath, args, {
      stdio: ['ignore', 'ignore', file],
    });
    closeSync(file);
    const stderr = readFileSync(join(folder, 'log'), 'utf8');
    for (const part of stderr.split('@@start ').slice(1)) {
      const end = part.indexOf('\n@@done ');
      const [name] = part.split('\n', 1);
      const log = end < 0 ? part : part.slice(0, end);
      const answer =
        end < 0
          ? { failure: `ends the process (${signal ?? status})` }
          : JSON.parse(part.slice(end + 8).split('\n', 1)[0]);
      found.set(name, { log, ...answer });
    }
    if (found.size === 0) throw new Error(`nothing could be tried:\n${stderr.slice(-2000)}`);
  }
  return found;
}

/** Undefined: the kernel is there. Else why not. */
function problem({ model, expected }, { placed }, { log, failure, values }) {
  // A kernel that only a better device than the one in software runs.
  if (failure !== undefined && !/requires f16 but the device/.test(failure)) return clean(failure);
  const placements = [...log.matchAll(/placed on \[(\w+)\]\. Number of nodes: (\d+)/g)];
  const elsewhere = placements.filter(([, name]) => name !== placed);
  if (elsewhere.length > 0) return `runs on ${elsewhere.map(([, name]) => name).join(', ')}`;
  const nodes = placements.reduce((sum, [, , count]) => sum + Number(count), 0);
  if (nodes === 0) return 'was not placed';
  // Other providers add nodes that change the layout, but cast nothing that is theirs.
  const isCpu = placed === TRIED.cpu.placed;
  if (isCpu && nodes > model.graph.nodeCount) return 'is made of other operators or casts';
  const wrong = expected !== undefined && values.some((value) => value !== expected);
  return wrong ? `gives ${values[0]} where ${expected} is right` : undefined;
}

const MISSING = 'not implemented';
const ABSENCE = new RegExp(
  [
    'Could not find an implementation|NOT_IMPLEMENTED|ERROR_CODE: 9,|Failed to find kernel',
    'Provider type for .* is not set',
  ].join('|'),
);

function clean(message) {
  if (ABSENCE.test(message)) return MISSING;
  const [line = ''] = message.split('\n');
  return /Type Error: Type/.test(line)
    ? 'the operator does not take this type'
    : line.replace(/^Can't create a session\. .*ERROR_MESSAGE: /, '').slice(0, 160);
}

function tryTarget(name, kernels) {
  const target = TRIED[name];
  const found = attempt(target, kernels);
  const result = { kernels: {}, notes: {} };
  for (const kernel of kernels) {
    const why = problem(trials.get(kernel), target, found.get(kernel));
    result.kernels[kernel] = why === undefined;
    if (why && why !== MISSING) result.notes[kernel] = why;
  }
  return result;
}

/** Products of bytes depend on the machine, and on the CPU are judged by its instruction set. */
const EXACT = 'MatMulInteger:exact';

function part(name, kernels) {
  const { kernels: tried, notes } = tryTarget(name, [...kernels, EXACT]);
  const { [EXACT]: exact, ...found } = tried;
  delete notes[EXACT];
  const source = `tried on ${process.platform}-${process.arch}`;
  // What WebGPU has not runs in WebAssembly.
  const exactProducts = name === 'web-wasm' ? exact : true;
  return { source, ...(name === 'cpu' ? {} : { exactProducts }), kernels: found, notes };
}

function table() {
  const kernels = [...trials.keys()].filter((kernel) => kernel !== EXACT);
  const cpu = part('cpu', kernels);
  return {
    cpu,
    'web-wasm': part('web-wasm', kernels),
    'web-webgpu': part('web-webgpu', kernels),
    cuda: flags.cuda ? part('cuda', kernels) : documentedCuda(kernels, cpu),
  };
}

function version() {
  const { resolve } = createRequire(join(root, 'package.json'));
  const read = (name) => JSON.parse(readFileSync(resolve(`${name}/package.json`), 'utf8')).version;
  return read('onnxruntime-node');
}

if (only.length > 0) {
  const answers = (flags.target ?? ['cpu']).map((name) => [name, tryTarget(name, only)]);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(answers), null, 1)}\n`);
} else {
  const targets = table();
  const names = Object.keys(targets.cpu.kernels);
  const text = JSON.stringify({ onnxruntime: version(), targets }, null, 2);
  writeFileSync(join(root, 'src/targets/kernels.json'), `${text}\n`);
  const counts = Object.entries(targets).map(([name, { kernels, source }]) => {
    const present = Object.values(kernels).filter(Boolean).length;
    return `${name}: ${present} of ${names.length} (${source})`;
  });
  process.stdout.write(`src/targets/kernels.json: ${counts.join(', ')}\n`);
}
