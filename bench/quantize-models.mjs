// Every model through every mode of quantisation: does the result load and run, how close is it to the
// float model, how small? Writes bench/quantize-models.md. Words select models by name. Calibration
// data is random where no other is at hand. Models: ../shared/models where it is there, else fixtures.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { machine, root, sharedModels, xform } from './machine.mjs';

const words = process.argv.slice(2);
const fixtures = readdirSync(join(root, 'fixtures'))
  .filter((file) => file.endsWith('.onnx'))
  .map((file) => join(root, 'fixtures', file));
const folder = mkdtempSync(join(tmpdir(), 'xform-modes-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Untrained models of the architectures that `xform init` has. */
const made = ['bert', 'gpt', 'vit', 'lstm', 'mobilenetv2', 'resnet18'].map((arch) => {
  const path = join(folder, `init-${arch}.onnx`);
  const small = ['bert', 'gpt', 'vit'].includes(arch)
    ? ['--hidden', '128', '--layers', '2', '--heads', '2']
    : [];
  spawnSync(process.execPath, [
    join(root, 'bin/run.js'),
    'init',
    arch,
    ...small,
    '-o',
    path,
    '--quiet',
  ]);
  return path;
});
const models = [...fixtures, ...made, ...sharedModels()].filter(
  (path) => words.length === 0 || words.some((word) => path.includes(word)),
);

const MODES = {
  dynamic: ['--mode', 'dynamic'],
  'static QDQ': ['--mode', 'static', '--data', 'random', '--limit', '4'],
  'static QOperator': [
    '--mode',
    'static',
    '--data',
    'random',
    '--limit',
    '4',
    '--format',
    'qoperator',
  ],
  '4 bits': ['--mode', 'weights', '--bits', '4'],
  fp16: ['--mode', 'fp16'],
  bf16: ['--mode', 'bf16'],
  fp8: ['--mode', 'fp8'],
};

const problems = [];
const counts = Object.fromEntries(
  Object.keys(MODES).map((mode) => [mode, { done: 0, refused: 0 }]),
);

function cell(model, mode) {
  const out = join(folder, 'out.onnx');
  const report = xform('quantize', model, '-o', out, ...MODES[mode], '--no-bench');
  if (report.error) {
    counts[mode].refused += 1;
    problems.push([basename(model), mode, report.error.message.replaceAll('|', '/').slice(0, 160)]);
    return report.error.code === 'nothing-quantized' ? 'nothing to do' : report.error.code;
  }
  counts[mode].done += 1;
  const { cosine, size_ratio: size } = report.metrics;
  const near = cosine === undefined ? 'not run' : cosine.toFixed(4);
  return `${near} (${(100 * size).toFixed(0)} %)`;
}

const rows = [];
for (const model of models) {
  const cells = Object.keys(MODES).map((mode) => cell(model, mode));
  rows.push(`| ${basename(model, '.onnx')} | ${cells.join(' | ')} |`);
  process.stdout.write(`${rows.at(-1)}\n`);
}

const text = [
  '# Every model through every mode\n',
  `${machine()}\n`,
  'Cosine of the outputs with those of the float model (the lowest of all outputs, on random inputs), and the size of the file against the original. Ranges are calibrated on random inputs, which is worse than real data for most models. Reasons where there is no result are below.\n',
  `| model | ${Object.keys(MODES).join(' | ')} |`,
  `| --- |${' ---: |'.repeat(Object.keys(MODES).length)}`,
  ...rows,
  `\n${Object.entries(counts)
    .map(([mode, { done, refused }]) => `${mode}: ${done} written, ${refused} refused`)
    .join('; ')}.\n`,
  '## Where there is no result\n',
  '| model | mode | reason |',
  '| --- | --- | --- |',
  ...problems.map((row) => `| ${row.join(' | ')} |`),
];
if (words.length === 0)
  writeFileSync(join(root, 'bench/quantize-models.md'), `${text.join('\n')}\n`);
else process.stdout.write(`${text.join('\n')}\n`);
