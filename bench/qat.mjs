// Quantisation-aware training beside plain rounding, on CIFAR-10: accuracy of the written model on images
// that were neither trained nor calibrated on. Writes bench/qat.md. Words select models.
// Data: ../shared and .peers; without them it ends with a line.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, peersPython, root, xform } from './machine.mjs';

const python = peersPython();
const shared = process.env.XFORM_SHARED ?? join(root, '../shared');
if (!python || !existsSync(shared)) {
  process.stdout.write('skipped: CIFAR-10 needs ../shared and .peers\n');
  process.exit();
}
const folder = mkdtempSync(join(tmpdir(), 'xform-qat-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
spawnSync(python, [join(root, 'bench/qat_data.py'), shared, folder], { stdio: 'inherit' });

const BUDGET = ['--batch', '64', '--epochs', '3', '--lr', '0.0005'];
/** One step at rate 0: the model as it is, judged. */
const STILL = ['--batch', '64', '--steps', '1', '--lr', '0'];
const RUNS = [
  ['float', []],
  ['int8', ['--qat', 'int8']],
  ['int4', ['--qat', 'int4']],
];
const MODELS = ['cifar10_resnet_4b', 'mlperf_ic_resnet8'];
const words = process.argv.slice(2);

function train(model, flags) {
  const files = ['train', 'test'].map((part) => join(folder, `${model}.${part}.npz`));
  const out = join(folder, 'out.onnx');
  const data = ['--data', files[0], '--val', files[1], '-o', out];
  const path = join(shared, 'models', `${model}.onnx`);
  const { metrics, output, error } = xform('train', path, ...data, ...flags, '--seed', '1');
  if (error) throw new Error(error.message);
  const { accuracy } = metrics.written ?? metrics.validation;
  return { accuracy, bytes: output.bytes, seconds: metrics.training_seconds };
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const rows = [];
for (const model of words.length > 0 ? words : MODELS) {
  for (const [type, flags] of RUNS) {
    const before = train(model, [...flags, ...STILL]);
    const after = train(model, [...flags, ...BUDGET]);
    const found = [percent(before.accuracy), percent(after.accuracy)];
    const size = `${(after.bytes / 1024).toFixed(0)} KiB`;
    rows.push(
      `| ${model} | ${type} | ${found.join(' | ')} | ${size} | ${after.seconds.toFixed(0)} |`,
    );
    process.stdout.write(`${rows.at(-1)}\n`);
  }
}
if (words.length === 0) {
  writeFileSync(
    join(root, 'bench/qat.md'),
    `# Quantisation-aware training\n\n${machine()}\n\nCIFAR-10: 10,000 images to train on, 2,000 others to judge the written model on, as onnxruntime runs it.\nint8: weights and activations; int4: weights of 4 bits per channel in every layer, activations of 8.\nThe float rows are trained for as long, so that rounding is not credited with what training does by itself.\nWeights of 4 bits are unpacked by onnxruntime: they make the file smaller, and no run faster.\n\n| model | type | as it was, or only rounded | trained, ${BUDGET.join(' ').replaceAll('--', '')} | file | s |\n| --- | --- | ---: | ---: | ---: | ---: |\n${rows.join('\n')}\n`,
  );
}
