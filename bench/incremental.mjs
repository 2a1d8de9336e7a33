// What new classes cost the old ones: a small CNN that knows the digits 0 to 4 learns 5 to 9, plainly
// and with each protection against forgetting. Writes bench/incremental.md. Words select rows.
// Data: ../shared; without it the bench says so and ends.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import ort from 'onnxruntime-node';
import { machine, root, xform } from './machine.mjs';

const data = join(process.env.XFORM_SHARED ?? join(root, '../shared'), 'data');
const images = join(data, 'mnist-images-idx3-ubyte.gz');
if (!existsSync(images)) {
  process.stdout.write('skipped: there is no ../shared\n');
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), 'xform-incremental-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);

const SIZE = 28 * 28;
const TRAIN = 4000;
const SEEDS = [0, 1, 2];
const pixels = gunzipSync(readFileSync(images)).subarray(16);
const labels = gunzipSync(readFileSync(join(data, 'mnist-labels-idx1-ubyte.gz'))).subarray(8);

/** Numbers of the samples from `from` to `to` whose digit is 0 … 4, or one of the others. */
function numbers(isOld, from, to) {
  const all = Array.from({ length: to - from }, (_, i) => from + i);
  return all.filter((i) => labels[i] < 5 === isOld);
}

const rowsOf = (samples) =>
  Buffer.concat(samples.map((i) => pixels.subarray(i * SIZE, (i + 1) * SIZE)));

/** An array of bytes in NumPy's format. */
function npy(shape, bytes) {
  const header = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')},)}`;
  const length = Math.ceil((header.length + 11) / 64) * 64 - 10;
  const start = Buffer.alloc(10 + length, ' ');
  start.write('\x93NUMPY\x01\x00', 'latin1');
  start.writeUInt16LE(length, 8);
  start.write(header, 10);
  start[start.length - 1] = 10;
  return Buffer.concat([start, bytes]);
}

function writeSamples(name, samples) {
  const image = npy([samples.length, 1, 28, 28], rowsOf(samples));
  const label = npy([samples.length], Buffer.from(samples.map((i) => labels[i])));
  writeFileSync(at(name), zipSync({ 'image.npy': image, 'labels.npy': label }, { level: 0 }));
}

const test = {
  old: numbers(true, TRAIN, labels.length),
  new: numbers(false, TRAIN, labels.length),
};
writeSamples('old.npz', numbers(true, 0, TRAIN));
writeSamples('new.npz', numbers(false, 0, TRAIN));

/** Share of the samples whose digit has the largest output, by onnxruntime itself. */
async function accuracy(model, samples) {
  const session = await ort.InferenceSession.create(model);
  const [input] = session.inputNames;
  const feed = new ort.Tensor(
    'float32',
    Float32Array.from(rowsOf(samples), (x) => x / 255),
    [samples.length, 1, 28, 28],
  );
  const result = (await session.run({ [input]: feed }))[session.outputNames[0]];
  const classes = result.dims[1];
  const right = samples.filter((sample, i) => {
    const row = result.data.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(Math.max(...row)) === labels[sample];
  });
  await session.release();
  return (100 * right.length) / samples.length;
}

const run = ['--batch', '32', '--lr', '0.001', '--quiet'];
const old = at('old.npz');
const WAYS = [
  ['plain', []],
  ['`--replay`, all old data', ['--replay', old]],
  ['`--replay --replay-limit 100`', ['--replay', old, '--replay-limit', '100']],
  ['`--ewc`', ['--ewc', old]],
  ['`--lwf`', ['--lwf']],
  ['`--lwf --lwf-weight 10`', ['--lwf', '--lwf-weight', '10']],
  ['`--replay --replay-limit 100 --lwf`', ['--replay', old, '--replay-limit', '100', '--lwf']],
];

function train(from, out, ...flags) {
  const report = xform('train', at(from), '-o', at(out), ...run, ...flags);
  if (report.error) throw new Error(report.error.message);
}

const words = process.argv.slice(2);
const chosen = WAYS.filter(([name]) => words.length === 0 || words.some((w) => name.includes(w)));
const found = new Map([['before, 5 classes', []], ...chosen.map(([name]) => [name, []])]);
async function record(name, seed, model) {
  const pair = [await accuracy(at(model), test.old), await accuracy(at(model), test.new)];
  found.get(name).push(pair);
  process.stdout.write(
    `seed ${seed}, ${name}: old ${pair[0].toFixed(1)}, new ${pair[1].toFixed(1)}\n`,
  );
}

for (const seed of SEEDS) {
  const seeded = ['--seed', `${seed}`];
  const sizes = ['--in', '1x28x28', '--width', '8', '--hidden', '64'];
  xform('init', 'cnn', ...sizes, '--classes', '5', ...seeded, '-o', at('start.onnx'));
  train('start.onnx', 'known.onnx', '--data', old, '--epochs', '4', ...seeded);
  await record('before, 5 classes', seed, 'known.onnx');
  const more = ['--expand-classes', '10', '--data', at('new.npz'), '--epochs', '4', ...seeded];
  for (const [name, flags] of chosen) {
    train('known.onnx', 'more.onnx', ...more, ...flags);
    await record(name, seed, 'more.onnx');
  }
}

const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
/** Mean over seeds, with the smallest and the largest. */
function range(pairs, side) {
  const all = pairs.map((pair) => pair[side]);
  const [least, most] = [Math.min(...all), Math.max(...all)].map((x) => x.toFixed(1));
  return `${mean(all).toFixed(1)} (${least} to ${most})`;
}

if (words.length === 0) {
  const rows = [...found].map(([name, pairs]) => {
    const both = mean(pairs.map(([a, b]) => (a * test.old.length + b * test.new.length) / 1000));
    return `| ${name} | ${range(pairs, 0)} | ${range(pairs, 1)} | ${both.toFixed(1)} |`;
  });
  writeFileSync(
    join(root, 'bench/incremental.md'),
    `# What new classes cost the old ones\n\n${machine()}\n\nA small CNN learns the digits 0 to 4 of MNIST (4 epochs), then 5 to 9 with \`--expand-classes 10\` (4 epochs),\nfrom the first 4,000 of 5,000 images. Accuracy in % among all ten classes on the other 1,000, old digits and\nnew ones; mean of three seeds, smallest and largest. Old data is seen in the second part only where \`--replay\`\n(a fifth of each batch) or \`--ewc\` name it.\n\n| | old | new | all |\n| --- | ---: | ---: | ---: |\n${rows.join('\n')}\n`,
  );
}
