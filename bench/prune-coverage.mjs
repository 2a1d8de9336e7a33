// How much of real networks structured pruning reaches, and whether the cut is exact: for each model the
// share of weight elements in groups that can be cut, and the error of the graph cut by 30 % and 50 %
// against the original with zeros where sums read what is gone. Writes bench/prune-coverage.md.
//
//   node bench/prune-coverage.mjs [WORD …]

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { machine, root, sharedModels } from './machine.mjs';

const ARCHITECTURES = [
  'resnet18',
  'resnet50',
  'mobilenetv2',
  'vit',
  'bert',
  'gpt',
  'lstm',
  'cnn',
  'mlp',
];
const wanted = process.argv.slice(2);
const cache = join(root, 'node_modules/.cache');
mkdirSync(cache, { recursive: true });
const task = join(cache, `prune-coverage-${process.pid}.mjs`);
process.once('exit', () => rmSync(task, { force: true }));
execFileSync(join(root, 'node_modules/.bin/esbuild'), [
  join(root, 'bench/prune-coverage.ts'),
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

function measure(name) {
  const args = [task, name, ...(runs(name) ? [] : ['{}', '--no-run'])];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  try {
    return JSON.parse(stdout);
  } catch {
    return { failed: stderr.split('\n').find((line) => line.includes('Error')) ?? 'no result' };
  }
}

const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '–');
const error = (cut) =>
  cut?.failed
    ? 'FAILED'
    : cut?.error === undefined
      ? '–'
      : cut.error === 0
        ? '0'
        : cut.error.toExponential(0);

function row(name, result) {
  if (result.failed) return `| ${name} | failed: ${result.failed} |`;
  const { elements, covered, exact, groups, units, cuts, ms } = result;
  const at50 = cuts[1];
  const cells = [
    name,
    elements,
    percent(covered / elements),
    percent(exact / elements),
    groups,
    units,
    ms.toFixed(0),
    percent(at50?.params),
    percent(at50?.flops),
    error(cuts[0]),
    error(at50),
  ];
  return `| ${cells.join(' | ')} |`;
}

const HEAD = `| model | weight elements | can be cut | exactly | groups | units | ms | params left | flops left | error at 30 % | error at 50 % |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |`;

function table(names) {
  const results = names
    .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
    .map((name) => {
      const result = measure(name);
      process.stdout.write(`${row(basename(name), result)}\n`);
      for (const { failed } of result.cuts ?? []) if (failed) process.stdout.write(`  ${failed}\n`);
      return { name: basename(name), result };
    });
  return { results, text: [HEAD, ...results.map((r) => row(r.name, r.result))].join('\n') };
}

const architectures = table(ARCHITECTURES);
const models = table([...fixtures, ...shared]);
const all = [...architectures.results, ...models.results].filter(({ result }) => !result.failed);
const cuts = all.flatMap(({ result }) => result.cuts);
const compared = cuts.filter((cut) => cut.error !== undefined);
const worst = Math.max(...compared.map((cut) => cut.error));
const whole = all.filter(({ result }) => result.elements > 0);
const reached = whole.filter(({ result }) => result.covered / result.elements >= 0.95);

const STATES =
  'its recurrent states are inputs and outputs of the graph, which keep their shapes; they are as wide as the layer';
const OWN_OPERATORS =
  'RequantShift and iRMSNorm are in no domain of ONNX or onnxruntime, so nobody knows what they do with an axis';
const BARE = 'each layer stands between an input and an output of the graph';
/** Why that cannot be otherwise, in words; by the beginning of the name. */
const WHY = {
  attn_vis: 'hidden states are outputs of the encoder and inputs of the decoder',
  burn_opset1: BARE,
  deeploy_microllama8: OWN_OPERATORS,
  deeploy_mlperf_ic: OWN_OPERATORS,
  deeploy_transformer_deepquant: BARE,
  dtln_model1: STATES,
  gonnx_gru: STATES,
  gtcrn_simple:
    'caches of a stream are inputs and outputs, as wide as the channels they are of, and all blocks share that width; the two largest products are over frequency bands, along which convolutions slide',
  ml4acopf_14: 'its first layer reads the input, its last makes the output',
  silero_vad: STATES,
  tf_model_0: 'its last layer makes the output',
  tract_qlstm: STATES,
};

function whyOf(name) {
  const found = Object.keys(WHY).find((beginning) => name.startsWith(beginning));
  return found ? `${WHY[found]}. ` : '';
}

/** What holds weights back, model by model. */
function exceptions() {
  const lines = [];
  for (const { name, result } of whole) {
    if (result.covered / result.elements >= 0.95) continue;
    const reasons = result.reasons
      .slice(0, 4)
      .filter(({ elements }) => elements / result.elements >= 0.001)
      .map(({ reason, elements }) => `${percent(elements / result.elements)}: ${reason}`);
    lines.push(
      `- ${name}: ${whyOf(name)}${reasons.join('; ') || 'parts of axes that meet an input or output'}`,
    );
  }
  return lines;
}

const lines = [
  '# Structured pruning: coverage and exactness',
  '',
  'Weight elements of convolutions, matrix products, recurrent layers and attention that lie in a group',
  'that can be cut along at least one axis; `exactly`: without groups that go through a normalisation',
  'over the axis. Error: of the graph with 30 % and 50 % of the units of each exact group removed (at',
  'random), against the original in which every sum reads zero there; length of the difference by length',
  'of the result, worst output. A dash: nothing to cut, or the model does not run in onnxruntime.',
  machine(),
  '',
  `- ${reached.length} of ${whole.length} models with such weights can be cut in 95 % of them or more`,
  `- ${compared.length} cuts were run and compared, ${cuts.filter((cut) => cut.failed).length} failed; the largest error is ${worst.toExponential(1)}`,
  '',
  '## Architectures of `xform init`',
  '',
  architectures.text,
  '',
  '## Real models',
  '',
  models.text,
  '',
  '## What stays whole, where more than 5 % does',
  '',
  ...exceptions(),
];
if (wanted.length === 0)
  writeFileSync(join(root, 'bench/prune-coverage.md'), `${lines.join('\n')}\n`);
else process.stdout.write(`${lines.join('\n')}\n`);
