// Training steps beside PyTorch's (CPU, eager, the same threads): the same layers, batch and optimiser,
// in turn. Writes bench/train-speed.md. Words select models. Without .peers it is skipped with a line.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, median, peersPython, program, root } from './machine.mjs';

const python = peersPython();
if (!python) {
  process.stdout.write('skipped: there is no .peers\n');
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), 'xform-train-speed-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const xform = (...args) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
const threads = String(availableParallelism());
const ROUNDS = 3;

const MODELS = {
  perceptron: [['mlp', '--in', '784', '--hidden', '256', '--classes', '10'], [512, 784], 128, 6000],
  cnn: [
    ['cnn', '--in', '1x28x28', '--classes', '10', '--width', '32', '--hidden', '128'],
    [512, 1, 28, 28],
    64,
    150,
  ],
  resnet18: [['resnet18', '--in', '3x64x64', '--classes', '10'], [128, 3, 64, 64], 16, 40],
  lstm: [
    [
      'lstm',
      '--in',
      '16',
      '--hidden',
      '128',
      '--layers',
      '2',
      '--classes',
      '10',
      '--set',
      'seq=64',
    ],
    [256, 64, 16],
    32,
    30,
  ],
  transformer: [
    ['gpt', '--vocab', '65', '--hidden', '128', '--layers', '4', '--heads', '4', '--seq', '128'],
    [256, 128],
    16,
    60,
  ],
};
const words = process.argv.slice(2);

/** Random samples, with labels for classifiers. */
function writeData(name, shape) {
  const script = [
    'import numpy as np,sys,json',
    'shape=json.loads(sys.argv[2]);r=np.random.RandomState(0)',
    'if len(shape)==2 and shape[1]==128: np.savez(sys.argv[1],input_ids=r.randint(0,65,shape))',
    'else: np.savez(sys.argv[1],input=r.randn(*shape).astype(np.float32),labels=r.randint(0,10,shape[0]))',
  ].join('\n');
  spawnSync(python, ['-c', script, at(`${name}.npz`), JSON.stringify(shape)]);
}

/** Samples per second of the fastest chunk: the first ones warm up. */
function ours(name, batch, steps) {
  const flags = ['--data', at(`${name}.npz`), '--batch', String(batch), '--steps', String(steps)];
  const files = ['-o', at('out.onnx'), '--log', at('log.jsonl'), '--quiet', '--threads', threads];
  const run = xform(
    'train',
    at(`${name}.onnx`),
    ...flags,
    ...files,
    '--checkpoint-every',
    '100000',
  );
  if (run.status !== 0) process.stdout.write(run.stderr);
  const lines = readFileSync(at('log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const chunks = lines.filter(({ event }) => event === 'train');
  return {
    speed: Math.max(...chunks.map((line) => line.steps_per_s)) * batch,
    overhead: median(chunks.slice(1).map((line) => line.overhead)),
  };
}

const rows = Object.entries(MODELS)
  .filter(([name]) => words.length === 0 || words.includes(name))
  .map(([name, [arch, shape, batch, steps]]) => {
    xform('init', ...arch, '-o', at(`${name}.onnx`), '--quiet');
    writeData(name, shape);
    const [a, b] = [[], []];
    for (let i = 0; i < ROUNDS; i++) {
      a.push(ours(name, batch, steps));
      const peer = spawnSync(python, [join(root, 'bench/train_peer.py'), name, threads, '4']);
      b.push(Number(peer.stdout.toString()));
    }
    const [mine, theirs] = [Math.max(...a.map((run) => run.speed)), Math.max(...b)];
    const overhead = median(a.map((run) => run.overhead));
    const row = `| ${name} | ${batch} | ${mine.toFixed(0)} | ${theirs.toFixed(0)} | ${(mine / theirs).toFixed(2)} | ${(100 * overhead).toFixed(1)} % |`;
    process.stdout.write(`${row}\n`);
    return row;
  });
if (words.length === 0) {
  writeFileSync(
    join(root, 'bench/train-speed.md'),
    `# Training beside PyTorch

${machine()}

Samples per second with AdamW, the best of ${ROUNDS} runs in turn (chunks of half a second); ${threads} threads. Overhead is the share of a chunk that xform spends outside of onnxruntime.

| model | batch | xform | PyTorch | ratio | overhead |
| --- | ---: | ---: | ---: | ---: | ---: |
${rows.join('\n')}
`,
  );
}
