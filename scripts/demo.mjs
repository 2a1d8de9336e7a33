// The main job on real input: what a user does in the first five minutes, on a model from fixtures/.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), 'xform-demo-'));
const at = (name) => join(folder, name);
const shown = (word) =>
  word.startsWith(root) ? relative(root, word) : word.replace(`${folder}/`, '');

function xform(...args) {
  process.stdout.write(`\n$ xform ${args.map(shown).join(' ')}\n`);
  const { status } = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], {
    stdio: 'inherit',
  });
  if (status !== 0) {
    process.stdout.write(`xform ${args[0]} ended with exit code ${status}\n`);
    rmSync(folder, { recursive: true, force: true });
    process.exit(1);
  }
}

const model = join(root, 'fixtures/digits-transformer.onnx');
const samples = join(root, 'fixtures/digits-test.npz');
xform('inspect', model);
xform('optimize', model, '-o', at('small.onnx'), '--level', 'extended');
xform('verify', model, at('small.onnx'), '--data', samples);
xform('bench', model, at('small.onnx'), '--runs', '200');
const cnn = join(root, 'fixtures/digits.onnx');
const calibration = join(root, 'fixtures/digits-train.npz');
const [int8, int4] = [at('digits.int8.onnx'), at('transformer.int4.onnx')];
const judged = ['--data', calibration, '--val', samples];
xform('quantize', cnn, '-o', int8, '--mode', 'static', ...judged, '--max-drop', '0.01');
xform('quantize', model, '-o', int4, '--mode', 'weights', '--bits', '4', ...judged);
xform('bench', cnn, int8, '--runs', '200');
const [half, healed, healed8] = [at('half.onnx'), at('healed.onnx'), at('healed.int8.onnx')];
xform('prune', cnn, '-o', half, '--amount', '0.5', ...judged, '--batch', '16');
const training = ['--data', calibration, '--val', samples];
xform('train', half, '-o', healed, ...training, '--epochs', '8', '--lr', '0.002');
xform('quantize', healed, '-o', healed8, '--mode', 'static', ...judged);
const [student, taught] = [at('student.onnx'), at('student.taught.onnx')];
xform(
  'init',
  'cnn',
  '--in',
  '1x8x8',
  '--width',
  '4',
  '--hidden',
  '16',
  '--classes',
  '10',
  '-o',
  student,
);
xform(
  'distill',
  student,
  '--teacher',
  cnn,
  '-o',
  taught,
  ...training,
  '--epochs',
  '8',
  '--lr',
  '0.005',
);
xform('bench', cnn, half, healed, taught, '--runs', '200');
xform('init', 'resnet18', '--in', '3x64x64', '--classes', '10', '-o', at('resnet18.onnx'));
xform('optimize', at('resnet18.onnx'), '-o', at('resnet18.small.onnx'));
xform('verify', at('resnet18.onnx'), at('resnet18.small.onnx'));
rmSync(folder, { recursive: true, force: true });
