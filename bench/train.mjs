// What training reaches: MNIST digits with a small CNN, the characters of tinyshakespeare with a small
// GPT, digits pruned and healed. Writes bench/train.md. Words select parts: mnist, shakespeare, heal.
// Data: ../shared; .peers writes the characters as arrays. Without them parts are skipped with a line.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, peersPython, program, root, xform } from './machine.mjs';

const python = peersPython();
const shared = process.env.XFORM_SHARED ?? join(root, '../shared');
const data = (name) => join(shared, 'data', name);
const folder = mkdtempSync(join(tmpdir(), 'xform-train-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const words = process.argv.slice(2);
const wants = (part) => words.length === 0 || words.includes(part);
const init = (name, ...args) =>
  spawnSync(process.execPath, [program, 'init', ...args, '-o', at(name), '--quiet']);
const rows = [];
const row = (what, goal, found, seconds) => {
  rows.push(`| ${what} | ${goal} | ${found} | ${seconds.toFixed(0)} |`);
  process.stdout.write(`${rows.at(-1)}\n`);
};

function mnist() {
  const images = data('mnist-images-idx3-ubyte.gz');
  if (!existsSync(images)) return process.stdout.write('skipped: mnist, there is no ../shared\n');
  init('cnn.onnx', 'cnn', '--in', '1x28x28', '--classes', '10');
  const flags = ['--split', 'train=0.8', '--epochs', '8', '--batch', '64', '--lr', '0.002'];
  const { metrics } = xform(
    'train',
    at('cnn.onnx'),
    '--data',
    images,
    ...flags,
    '-o',
    at('out.onnx'),
  );
  const accuracy = `${(100 * metrics.validation.accuracy).toFixed(1)} %`;
  row('MNIST, 4,000 of 5,000 images, cnn', '96.5 % in 60 s', accuracy, metrics.training_seconds);
}

function shakespeare() {
  const text = data('tinyshakespeare.txt.gz');
  if (!python || !existsSync(text)) {
    return process.stdout.write('skipped: tinyshakespeare needs .peers and ../shared\n');
  }
  const script = [
    'import gzip,numpy as np,sys',
    't=gzip.open(sys.argv[1],"rt").read();m={c:i for i,c in enumerate(sorted(set(t)))}',
    'a=np.array([m[c] for c in t],dtype=np.int64);n=int(len(a)*0.9)',
    'w=lambda a,s:np.stack([a[i:i+128] for i in range(0,len(a)-128,s)])',
    'np.savez(sys.argv[2],input_ids=w(a[:n],32));np.savez(sys.argv[3],input_ids=w(a[n:],127))',
  ].join('\n');
  spawnSync(python, ['-c', script, text, at('train.npz'), at('val.npz')]);
  const sizes = [
    '--vocab',
    '65',
    '--hidden',
    '128',
    '--layers',
    '4',
    '--heads',
    '4',
    '--seq',
    '128',
  ];
  init('gpt.onnx', 'gpt', ...sizes);
  const optimiser = [
    '--lr',
    '0.002',
    '--beta2',
    '0.99',
    '--weight-decay',
    '0.1',
    '--warmup',
    '100',
  ];
  const flags = ['--objective', 'clm', '--batch', '16', '--steps', '3000', '--clip', '1'];
  const files = ['--data', at('train.npz'), '--val', at('val.npz'), '-o', at('gpt2.onnx')];
  const { metrics } = xform(
    'train',
    at('gpt.onnx'),
    ...files,
    ...flags,
    ...optimiser,
    '--eval-every',
    '500',
  );
  const loss = metrics.validation.loss.toFixed(3);
  row(
    'tinyshakespeare, gpt 4 × 128, characters',
    'loss 1.75 in 15 min',
    loss,
    metrics.training_seconds,
  );
}

function heal() {
  const model = join(root, 'fixtures/digits.onnx');
  const files = [
    '--data',
    join(root, 'fixtures/digits-train.npz'),
    '--val',
    join(root, 'fixtures/digits-test.npz'),
  ];
  const pruned = xform(
    'prune',
    model,
    '--amount',
    '0.5',
    '--no-repair',
    '--no-bench',
    ...files,
    '-o',
    at('p.onnx'),
  );
  const mended = xform(
    'prune',
    model,
    '--amount',
    '0.5',
    '--no-bench',
    '--batch',
    '16',
    ...files,
    '-o',
    at('p.onnx'),
  );
  const { metrics } = xform(
    'train',
    at('p.onnx'),
    ...files,
    '--epochs',
    '20',
    '--lr',
    '0.002',
    '-o',
    at('h.onnx'),
  );
  const of = (value) => `${(100 * value).toFixed(1)} %`;
  const found = `${of(pruned.metrics.accuracy)} cut, ${of(mended.metrics.accuracy)} mended, ${of(metrics.validation.accuracy)} trained`;
  row(
    'digits, half of the channels',
    `${of(pruned.metrics.accuracy_before)} - 1 point`,
    found,
    metrics.training_seconds,
  );
}

if (wants('heal')) heal();
if (wants('mnist')) mnist();
if (wants('shakespeare')) shakespeare();
if (words.length === 0) {
  writeFileSync(
    join(root, 'bench/train.md'),
    `# What training reaches\n\n${machine()}\n\nFigures are of data that was not trained on.\n\n| task | goal | reached | s |\n| --- | --- | --- | ---: |\n${rows.join('\n')}\n`,
  );
}
