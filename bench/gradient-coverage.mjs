// How much of real networks can be trained, and whether the gradients are right: for each model the
// share of its weights that get a gradient, the operators without a rule, and the gradients against
// differences of the loss and against PyTorch. Writes bench/gradient-coverage.md.
//
//   node bench/gradient-coverage.mjs [FOLDER/] [WORD …]
//
// Words select models; a folder keeps what was found: a run that was stopped goes on there.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { keptRun } from './kept.mjs';
import { machine, peersPython, root, sharedModels } from './machine.mjs';

const TRANSFORMER = { hidden: [64], layers: 2, heads: 4 };
const IMAGE = { in: [3, 64, 64] };
const ARCHITECTURES = {
  mlp: {},
  cnn: {},
  resnet18: IMAGE,
  resnet50: IMAGE,
  mobilenetv2: IMAGE,
  vit: { ...TRANSFORMER, mlpDim: 128, in: [3, 32, 32], patch: 8 },
  bert: { ...TRANSFORMER, mlpDim: 128, vocab: 100, seq: 32 },
  gpt: { ...TRANSFORMER, vocab: 100, seq: 32 },
  lstm: {},
};
const MINUTES = 10;
const run = keptRun('gradients');
const { words: wanted, found } = run;
const cache = join(root, 'node_modules/.cache');
mkdirSync(cache, { recursive: true });
const task = join(cache, `gradient-coverage-${process.pid}.mjs`);
const folder = join(run.folder, 'gradients');
process.once('exit', () => {
  rmSync(task, { force: true });
  rmSync(folder, { recursive: true, force: true });
});
execFileSync(join(root, 'node_modules/.bin/esbuild'), [
  join(root, 'bench/gradient-coverage.ts'),
  '--bundle',
  '--platform=node',
  '--format=esm',
  '--packages=external',
  '--log-level=error',
  `--outfile=${task}`,
]);

const fixtures = readdirSync(join(root, 'fixtures'))
  .filter((file) => file.endsWith('.onnx'))
  .map((file) => join(root, 'fixtures', file));
const shared = sharedModels();
const manifest = shared[0] && join(dirname(shared[0]), 'MANIFEST.json');
const known = manifest && existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')) : [];
const runs = (path) => {
  const row = known.find(({ name }) => name === basename(path));
  return row === undefined || row.ort.runs === true;
};
const python = peersPython();

function json(program, args) {
  const { stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: MINUTES * 60_000,
  });
  try {
    return JSON.parse(stdout || '');
  } catch {
    const said = /^(?:\w*Error): (.*)$/m.exec(stderr ?? '')?.[1];
    return { failed: said ?? 'no result' };
  }
}

function measure(name, choices) {
  rmSync(folder, { recursive: true, force: true });
  const flags = runs(name) ? [] : ['--no-run'];
  const own = json(process.execPath, [task, name, JSON.stringify(choices), folder, ...flags]);
  const isDumped = existsSync(join(folder, 'gradients.npz'));
  const peer =
    python && isDumped ? json(python, [join(root, 'bench/gradient_peer.py'), folder]) : {};
  return { ...own, peer };
}

const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '–');
const error = (value) => (value === undefined ? '–' : value === 0 ? '0' : value.toExponential(0));

function row(name, r) {
  if (r.elements === undefined) return `| ${name} | – | – | – | – | – | – | ${r.failed} |`;
  const note = [
    r.failed,
    r.unused > 0 && `${r.unused} tensors do not reach an output`,
    r.rounds && 'rounds: differences say nothing',
    r.peer.forward > 1e-4 && `in float32 the outputs, too, are off by ${error(r.peer.forward)}`,
    r.peer.skipped ?? r.peer.failed,
  ];
  const cells = [
    name,
    r.elements,
    percent(r.covered / r.elements),
    r.missing.join(', ') || '–',
    r.rounds ? '–' : error(r.error),
    error(r.peer.error),
    error(r.peer.worst),
    note.filter(Boolean).join('; ').replaceAll('|', '/'),
  ];
  return `| ${cells.join(' | ')} |`;
}

const HEAD = `| model | weights | with a gradient | operators without a rule | slope | PyTorch | worst tensor | |
| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |`;

function table(names) {
  const results = names
    .filter(([name]) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
    .map(([name, choices]) => {
      if (!found[basename(name)]) run.remember(basename(name), measure(name, choices));
      const result = found[basename(name)];
      process.stdout.write(`${row(basename(name), result)}\n`);
      return { name: basename(name), result };
    });
  return { results, text: [HEAD, ...results.map((r) => row(r.name, r.result))].join('\n') };
}

const architectures = table(Object.entries(ARCHITECTURES));
const models = table([...fixtures, ...shared].map((path) => [path, {}]));
const all = [...architectures.results, ...models.results].map(({ result }) => result);
const weighted = all.filter(({ elements }) => elements > 0);
const whole = weighted.filter(({ elements, covered }) => covered === elements);
const compared = weighted.map(({ peer }) => peer.error).filter((value) => value !== undefined);
const close = compared.filter((value) => value <= 1e-3);
const slopes = weighted.flatMap((r) => (r.rounds || r.error === undefined ? [] : [r.error]));

const lines = [
  '# Gradients: coverage and correctness',
  '',
  'Weights: elements of what `xform train` trains. Slope: relative error of the gradient along one',
  'direction (half gradient, half noise, in every weight at once) against central differences of the',
  'loss, both by onnxruntime in float32, the best of five steps; networks with many kinks (Relu, max',
  'pooling) have no better one in float32. PyTorch: length of the difference to the gradient that',
  'PyTorch finds in float64 for the same graph (bench/gradient_peer.py walks it node by node), by the',
  'length of that, over all weights and of the worst tensor. The loss is a random weighting of all',
  'outputs. Architectures are smaller than their defaults, with uneven biases.',
  machine(),
  '',
  `- ${whole.length} of ${weighted.length} models with weights get a gradient for all of them`,
  `- ${close.length} of ${compared.length} compared with PyTorch are within 1e-3; ${compared.filter((value) => value <= 1e-5).length} within 1e-5`,
  `- ${slopes.filter((value) => value <= 1e-2).length} of ${slopes.length} slopes are within 1e-2; ${slopes.filter((value) => value <= 1e-3).length} within 1e-3`,
  '',
  '## Architectures of `xform init`',
  '',
  architectures.text,
  '',
  '## Real models',
  '',
  models.text,
];
const text = `${lines.join('\n')}\n`;
if (run.isTold && wanted.length === 0)
  writeFileSync(join(root, 'bench/gradient-coverage.md'), text);
else process.stdout.write(text);
