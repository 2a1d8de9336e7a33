// Accuracy after one-shot pruning, without training: models of known accuracy, by method and amount,
// with repair and without. Data for scores and repair is from the training part, accuracy is of test
// samples. Writes bench/prune-accuracy.md. Words select models. Needs ../shared, and .peers to unpack
// its data; without them it is skipped with a line.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
  ['wanda', ['--method', 'wanda']],
  ['sparsegpt', ['--method', 'sparsegpt']],
  ['2:4 magnitude', ['--method', 'nm'], true],
  ['2:4 wanda', ['--method', 'nm', '--score', 'wanda'], true],
  ['2:4 sparsegpt', ['--method', 'nm', '--score', 'sparsegpt'], true],
];

const words = process.argv.slice(2);
const text = [
  `# Accuracy after one-shot pruning\n\n${machine()}\n`,
  'Top-1 on 256 test samples after pruning without any training; 128 training samples for scores and repair. Amounts are shares of the channels, or of the weights.\n',
];
for (const name of MODELS.filter((one) => words.length === 0 || words.includes(one))) {
  const model = join(shared, 'models', `${name}.onnx`);
  const data = ['--data', at(`gold/${name}.calib.npz`), '--val', at(`gold/${name}.test.npz`)];
  const flags = [...data, '--scale', '255', '--samples', '128', '--batch', '16', '--no-bench'];
  let before;
  const rows = METHODS.map(([label, method, isOnce]) => {
    const cells = AMOUNTS.map((amount) => {
      if (isOnce && amount !== 0.5) return '';
      const { metrics, error } = xform(
        'prune',
        model,
        '-o',
        at('p.onnx'),
        ...method,
        '--amount',
        String(amount),
        ...flags,
      );
      before ??= metrics?.accuracy_before;
      return error && !metrics?.accuracy ? (error.code ?? 'failed') : metrics.accuracy.toFixed(3);
    });
    const row = `| ${label} | ${cells.join(' | ')} |`;
    process.stdout.write(`${name} ${row}\n`);
    return row;
  });
  text.push(
    `\n## ${name}: ${before?.toFixed(3)} before\n`,
    `| method | ${AMOUNTS.join(' | ')} |`,
    `| --- | ${AMOUNTS.map(() => '---:').join(' | ')} |`,
    ...rows,
  );
}
if (words.length === 0)
  writeFileSync(join(root, 'bench/prune-accuracy.md'), `${text.join('\n')}\n`);
