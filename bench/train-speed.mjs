// Training steps beside PyTorch's (CPU, eager, the same threads): the same layers, batch and optimiser,
// in turn, by the clock and by CPU time; and how long it takes to write the training graphs of large
// models, and to load them. Writes bench/train-speed.md. Words select models, --tables some of clock, cpu
// and graphs; what is left out is not written. Without .peers it is skipped with a line.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine, median, peersPython, program, root, xform } from './machine.mjs';

const python = peersPython();
if (!python) {
  process.stdout.write('skipped: there is no .peers\n');
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), 'xform-train-speed-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const threads = String(availableParallelism());
const ROUNDS = 3;

/** Architecture, shapes of the data, samples of a step, steps of a run: some seconds. */
const MODELS = {
  perceptron: {
    arch: ['mlp', '--in', '784', '--hidden', '256', '--classes', '10'],
    data: { input: [12800, 784], labels: [12800] },
    batch: 128,
    steps: 3000,
  },
  cnn: {
    arch: ['cnn', '--in', '1x28x28', '--classes', '10', '--width', '32', '--hidden', '128'],
    data: { input: [512, 1, 28, 28], labels: [512] },
    batch: 64,
    steps: 150,
  },
  resnet18: {
    arch: ['resnet18', '--in', '3x64x64', '--classes', '10'],
    data: { input: [128, 3, 64, 64], labels: [128] },
    batch: 16,
    steps: 24,
  },
  lstm: {
    arch: ['lstm', '--in', '16', '--hidden', '128', '--layers', '2', '--classes', '10'],
    data: { input: [256, 64, 16], labels: [256] },
    batch: 32,
    steps: 150,
  },
  transformer: {
    arch: 'gpt --vocab 65 --hidden 128 --layers 4 --heads 4 --seq 128'.split(' '),
    data: { input_ids: [256, 128] },
    batch: 16,
    steps: 50,
  },
};
const TOKENS = { input_ids: [8, 128], attention_mask: [8, 128], token_type_ids: [8, 128] };
const LARGE = {
  resnet50: { arch: ['resnet50'], data: { input: [8, 3, 224, 224], labels: [8] } },
  bert: { arch: ['bert', '--classes', '2'], data: { ...TOKENS, labels: [8] } },
};
const { values, positionals: words } = parseArgs({
  options: { tables: { type: 'string', default: 'clock,cpu,graphs' } },
  allowPositionals: true,
});

/** Random images and series; integers for everything else. */
const DATA = `
import json, sys, numpy as np
r = np.random.RandomState(0)
below = {'input_ids': 65, 'labels': 10 if sys.argv[3] == 'many' else 2}
make = lambda n, s: r.randn(*s).astype('f') if n == 'input' else r.randint(0, below.get(n, 2), s)
np.savez(sys.argv[1], **{n: make(n, s) for n, s in json.loads(sys.argv[2]).items()})
`;

function prepare(name, { arch, data }) {
  xform('init', ...arch, '-o', at(`${name}.onnx`));
  const classes = name === 'bert' ? 'two' : 'many';
  spawnSync(python, ['-c', DATA, at(`${name}.npz`), JSON.stringify(data), classes]);
  return [at(`${name}.onnx`), '--data', at(`${name}.npz`), '-o', at('out.onnx')];
}

/** Says at its end how much CPU time the process has used, in ms. */
const HOOK = `process.on('exit', () => {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  process.stderr.write('cpu=' + (userCPUTime + systemCPUTime) / 1000);
});`;

function train(args, batch, steps, useThreads) {
  const size = ['--batch', String(batch), '--steps', String(steps), '--threads', useThreads];
  const more = ['--log', at('log.jsonl'), '--quiet', '--checkpoint-every', '100000'];
  const hook = `data:text/javascript,${encodeURIComponent(HOOK)}`;
  const command = ['--import', hook, program, 'train', ...args, ...size, ...more];
  const run = spawnSync(process.execPath, command, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
  return Number(/cpu=([\d.]+)/.exec(run.stderr)?.[1]);
}

/** CPU time of a step, in ms: what a longer run takes more than a shorter one. */
function cpuOfStep(args, { batch, steps }) {
  const [few, many] = [Math.ceil(steps / 8), steps];
  const [a, b] = [few, many].map((count) => train(args, batch, count, '1'));
  return (b - a) / (many - few);
}

/** Samples per second of the chunks of a run, but for the first two, which warm up. */
function ours(args, { batch, steps }) {
  train(args, batch, steps, threads);
  const lines = readFileSync(at('log.jsonl'), 'utf8').trim().split('\n');
  const chunks = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'train');
  const warm = chunks.slice(Math.min(2, chunks.length - 1));
  return {
    speeds: warm.map((line) => line.steps_per_s * batch),
    overheads: warm.map((line) => line.overhead),
  };
}

function theirs(name, useThreads) {
  const run = spawnSync(python, [join(root, 'bench/train_peer.py'), name, useThreads, '4']);
  if (run.status !== 0) throw new Error(run.stderr.toString());
  return JSON.parse(run.stdout.toString());
}

function byClock([name, model]) {
  const args = prepare(name, model);
  const rounds = Array.from({ length: ROUNDS }, () => ({
    ours: ours(args, model),
    theirs: theirs(name, threads).speeds,
  }));
  const [a, b] = [
    rounds.flatMap((round) => round.ours.speeds),
    rounds.flatMap((round) => round.theirs),
  ];
  const best = [Math.max(...a), Math.max(...b)];
  const each = rounds.map((round) => Math.max(...round.ours.speeds) / Math.max(...round.theirs));
  const overhead = median(rounds.flatMap((round) => round.ours.overheads));
  return row([
    ...[name, model.batch, ...best.map((speed) => speed.toFixed(0))],
    ...[best[0] / best[1], median(a) / median(b)].map((ratio) => ratio.toFixed(2)),
    [Math.min(...each), Math.max(...each)].map((ratio) => ratio.toFixed(2)).join(' … '),
    `${(100 * overhead).toFixed(1)} %`,
  ]);
}

function byCpu([name, model]) {
  const args = prepare(name, model);
  const rounds = Array.from({ length: ROUNDS }, () => [
    cpuOfStep(args, model),
    median(theirs(name, '1').cpu),
  ]);
  const [a, b] = [0, 1].map((i) => median(rounds.map((round) => round[i])));
  const each = rounds.map(([own, other]) => other / own);
  return row([
    ...[name, model.batch, a.toFixed(2), b.toFixed(2), (b / a).toFixed(2)],
    [Math.min(...each), Math.max(...each)].map((ratio) => ratio.toFixed(2)).join(' … '),
  ]);
}

/** One step: what is before it is measured. */
function before([name, model]) {
  const args = prepare(name, model);
  const runs = Array.from({ length: 2 }, () =>
    xform('train', ...args, '--batch', '8', '--steps', '1', '--threads', threads),
  );
  const least = (key) => (Math.min(...runs.map(({ metrics }) => metrics[key])) / 1000).toFixed(2);
  return row([name, 8, least('build_ms'), least('load_ms')]);
}

function row(cells) {
  const line = `| ${cells.join(' | ')} |`;
  process.stdout.write(`${line}\n`);
  return line;
}

const CLOCK = `Samples per second, ${threads} threads, ${ROUNDS} runs of some seconds each in turn; a run of xform has chunks of half
a second and more, one of PyTorch is cut into half seconds. The best chunk of all runs, and the ratio of
the best, of the medians, and of the best of each round. Overhead is the share of a chunk that xform
spends outside of onnxruntime.

| model | batch | xform | PyTorch | ratio | of medians | of rounds | overhead |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |`;
const CPU = `CPU time, in milliseconds per step on one thread: what neighbours on the machine change least. Where
threads have to wait for cores they wait for each other as well, PyTorch's more than onnxruntime's. The
median of ${ROUNDS} rounds, PyTorch's over xform's, and that of each round.

| model | batch | xform | PyTorch | ratio | of rounds |
| --- | ---: | ---: | ---: | ---: | ---: |`;
const GRAPHS = `Seconds to write the training graph, and to make a session of it; the less of two.

| model | batch | graph | session |
| --- | ---: | ---: | ---: |`;
const TABLES = {
  clock: [CLOCK, MODELS, byClock],
  cpu: [CPU, MODELS, byCpu],
  graphs: [GRAPHS, LARGE, before],
};

const asked = values.tables.split(',').map((name) => TABLES[name]);
const tables = asked.map(([head, models, measure]) => {
  const chosen = Object.entries(models).filter(
    ([name]) => words.length === 0 || words.includes(name),
  );
  return `${head}\n${chosen.map(measure).join('\n')}\n`;
});
if (words.length === 0) {
  const head = `# Training beside PyTorch\n\n${machine()} AdamW.\n`;
  writeFileSync(join(root, 'bench/train-speed.md'), [head, ...tables].join('\n'));
}
