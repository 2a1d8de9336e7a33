// Accuracy after one-shot pruning, without training: models of known accuracy, by method and amount,
// with repair and without. Data for scores and repair is from the training part, accuracy is of test
// samples. Writes bench/prune-accuracy.md. Words select models, whose sections are made anew. Needs ../shared, and .peers to unpack
// its data; without them it is skipped with a line.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, peersPython, root, sharedModels, xform } from './machine.mjs';

const python = peersPython();
const [first] = sharedModels();
if (!python || !first) {
  process.stdout.write('skipped: accuracy needs .peers and ../shared\n');
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), 'xform-prune-accuracy-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const shared = join(first, '../..');
spawnSync(python, [join(root, 'bench/gold_data.py'), shared, at('gold')]);

const AMOUNTS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
const MODELS = [
  ...['mnist_cntk', 'mnistfc_256x2', 'cifar10_resnet_4b', 'marabou_cifar_small'],
  ...['mlperf_ic_resnet8', 'vit_pgd_2_3_16'],
];
const METHODS = [
  ['channel', ['--method', 'channel,neuron', '--no-repair']],
  ['channel, repaired', ['--method', 'channel,neuron']],
  ['channel by activation, repaired', ['--method', 'channel,neuron', '--criterion', 'activation']],
  ['magnitude, per layer', ['--method', 'magnitude', '--scope', 'layer']],
  ['magnitude, global', ['--method', 'magnitude']],
  ['gradient', ['--method', 'gradient']],
  ['wanda', ['--method', 'wanda']],
  ['sparsegpt', ['--method', 'sparsegpt']],
  ['2:4 magnitude', ['--method', 'nm'], true],
  ['2:4 wanda', ['--method', 'nm', '--score', 'wanda'], true],
  ['2:4 sparsegpt', ['--method', 'nm', '--score', 'sparsegpt'], true],
];

const SAMPLES = 256;
const INTRODUCTION = `# Accuracy after one-shot pruning

${machine()}

Top-1 on ${256} test samples after pruning without any training; 128 training samples for scores and
repair. Amounts are shares of the channels, or of the weights. One standard error of an accuracy of 0.5
is 0.03.

- Repair comes closer to the original at every amount where there are samples enough. Where it does
  not, the row says the same as that without: nothing is changed unless it helps on samples that were
  held out. The first dense layer of marabou_cifar_small is fitted to 96 samples with 300 to 500 inputs.
- Among methods that take the same share of every layer, sparsegpt is closest to the original on every model up
  to 0.5, as theory promises: it minimises the error of each layer's output. Beyond that wanda passes it on
  vit_pgd_2_3_16 and, by 0.002, on mnistfc_256x2. Accuracy follows but for noise: vit_pgd_2_3_16 is right half
  of the time to begin with.
- wanda is as close as magnitude per layer to within 0.01 up to 0.5, or closer: most of all on mlperf_ic_resnet8
  and marabou_cifar_small, and in 2:4 on every model. At 0.6 and 0.7 either may be ahead.
- magnitude by one ranking (LAMP) chooses how much each layer gives, which the others do not: they take
  the same share of every layer. It is beside them, not below.
- wanda takes the least of each output, as its paper does for language models, but of convolutions the
  least of the whole layer: filters of a convolution differ in size by far more than the outputs of a
  transformer's products (cifar10_resnet_4b at 0.5: 0.359 by output, 0.547 by layer). What it knows
  beyond magnitude is which inputs are large; behind a normalisation all are alike, and it is magnitude
  per layer over again.
- Layers see inputs as the original has them, as long as sums and weights of all layers fit into memory
  at once; larger models are gone through in stages, each behind those that are pruned.`;
const PAGE = join(root, 'bench/prune-accuracy.md');
const words = process.argv.slice(2);
const head = `| method | ${AMOUNTS.join(' | ')} |\n| --- | ${AMOUNTS.map(() => '---:').join(' | ')} |`;
const table = (rows) =>
  `${head}\n${rows.map(([label, cells]) => `| ${label} | ${cells.join(' | ')} |`).join('\n')}\n`;

/** Torch-Pruning on the same network, weights and test samples; what onnx2torch cannot read is said. */
function peerRow(name, model) {
  const script = join(root, 'bench/prune_accuracy_peer.py');
  const args = [
    script,
    model,
    at(`gold/${name}.test.npz`),
    String(SAMPLES),
    ...AMOUNTS.map(String),
  ];
  const { status, stdout, stderr } = spawnSync(python, args, { encoding: 'utf8' });
  if (status !== 0) {
    const why = stderr.trim().split('\n').at(-1)?.split(': ').slice(1).join(': ');
    return { note: `Torch-Pruning does not see this model: onnx2torch says \`${why}\`.\n` };
  }
  const found = JSON.parse(stdout.trim().split('\n').at(-1));
  const left = found.map(({ params }) => params.toFixed(2)).join(', ');
  return {
    row: ['Torch-Pruning, channels', found.map(({ accuracy }) => accuracy.toFixed(3))],
    note: `Torch-Pruning leaves ${left} of the parameters`,
  };
}

function section(name) {
  const model = join(shared, 'models', `${name}.onnx`);
  const data = ['--data', at(`gold/${name}.calib.npz`), '--val', at(`gold/${name}.test.npz`)];
  const flags = [...data, '--scale', '255', '--samples', '128', '--batch', '16', '--no-bench'];
  let before;
  const left = [];
  const rows = METHODS.map(([label, method, isOnce]) => {
    const runs = AMOUNTS.map((amount) => {
      if (isOnce && amount !== 0.5) return undefined;
      const args = ['prune', model, '-o', at('p.onnx'), ...method, '--amount', String(amount)];
      const { metrics, error } = xform(...args, ...flags);
      before ??= metrics?.accuracy_before;
      if (label === 'channel') left.push(metrics?.params_ratio?.toFixed(2));
      return metrics?.accuracy === undefined ? { failed: error?.code ?? 'failed' } : metrics;
    });
    const cells = (of) => runs.map((run) => (run ? (run.failed ?? of(run)) : ''));
    const row = [
      label,
      cells(({ accuracy }) => accuracy.toFixed(3)),
      cells(({ cosine }) => cosine.toFixed(3)),
    ];
    process.stdout.write(`${name} ${row.join(' | ')}\n`);
    return row;
  });
  const peer = peerRow(name, model);
  const note = peer.row ? `${peer.note}; xform ${left.join(', ')}.\n` : peer.note;
  return [
    `## ${name}: ${before?.toFixed(3)} before\n`,
    table([...rows, ...(peer.row ? [peer.row] : [])]),
    note,
    'Cosine of the outputs to those of the original, which is less noisy:\n',
    table(rows.map(([label, , cosines]) => [label, cosines])),
  ].join('\n');
}

/** Sections of models that are not asked for stay as they are. */
function known() {
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
  const parts = page.split(/^(?=## )/m).slice(1);
  return new Map(parts.map((text) => [/^## (\w+):/.exec(text)?.[1], text.trimEnd()]));
}

for (const name of MODELS.filter((one) => words.length === 0 || words.includes(one))) {
  const text = section(name);
  const sections = known();
  sections.set(name, text.trimEnd());
  const all = MODELS.flatMap((one) => sections.get(one) ?? []);
  writeFileSync(PAGE, `${[INTRODUCTION, ...all].join('\n\n')}\n`);
}
