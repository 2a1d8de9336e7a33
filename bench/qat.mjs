// Quantisation-aware training beside plain rounding, on CIFAR-10: accuracy of the written model on images
// that were neither trained nor calibrated on. Writes bench/qat.md. Words select models. A folder as first
// argument keeps what was found: a run that was stopped goes on there. Data: ../shared.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cifar, sharedModel } from './cifar-data.mjs';
import { keptRun } from './kept.mjs';
import { machine, root, xform } from './machine.mjs';

const { folder, words, found, isTold, remember } = keptRun('qat');
const images = cifar(folder);
if (!images) {
  process.stdout.write('skipped: CIFAR-10 needs ../shared\n');
  process.exit();
}

const BUDGET = ['--batch', '64', '--epochs', '1', '--lr', '0.0005'];
/** One step at rate 0: the model as it is, judged. */
const STILL = ['--batch', '64', '--steps', '1', '--lr', '0'];
const RUNS = [
  ['float', []],
  ['int8', ['--qat', 'int8']],
  ['int4', ['--qat', 'int4']],
];
/** How each model wants its images. */
const MODELS = {
  cifar10_resnet_4b: ['--normalize', 'mean=0.4914,0.4822,0.4465,std=0.2470,0.2435,0.2616'],
  mlperf_ic_resnet8: ['--scale', '255'],
};

function train(model, flags) {
  const out = join(folder, 'out.onnx');
  const data = ['--data', images.train, '--val', images.test, ...MODELS[model], '-o', out];
  const { metrics, output, error } = xform('train', sharedModel(model), ...data, ...flags);
  if (error) throw new Error(error.message);
  const { accuracy } = metrics.written ?? metrics.validation;
  return { accuracy, bytes: output.bytes, seconds: metrics.training_seconds };
}

for (const model of words.length > 0 ? words : Object.keys(MODELS)) {
  for (const [type, flags] of RUNS) {
    const key = `${model} ${type}`;
    if (found[key]) continue;
    const before = train(model, [...flags, ...STILL]);
    remember(key, { before, after: train(model, [...flags, ...BUDGET]) });
    process.stdout.write(`${key}: ${JSON.stringify(found[key])}\n`);
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const rows = Object.keys(MODELS).flatMap((model) =>
  RUNS.filter(([type]) => found[`${model} ${type}`]).map(([type]) => {
    const { before, after } = found[`${model} ${type}`];
    const accuracies = [before, after].map(({ accuracy }) => percent(accuracy));
    const size = `${(after.bytes / 1024).toFixed(0)} KiB`;
    return `| ${[model, type, ...accuracies, size, after.seconds.toFixed(0)].join(' | ')} |`;
  }),
);
if (isTold) {
  writeFileSync(
    join(root, 'bench/qat.md'),
    `# Quantisation-aware training

${machine()}

CIFAR-10: 10,000 images to train on, 5,000 others to judge the written model on, as onnxruntime runs it.
int8: weights and activations; int4: weights of 4 bits per channel in every layer, activations of 8.
The float rows are trained for as long, so that rounding is not credited with what training does by itself.
Weights of 4 bits are unpacked by onnxruntime: they make the file smaller, and no run faster.

| model | type | as it was, or only rounded | trained, ${BUDGET.join(' ').replaceAll('--', '')} | file | s |
| --- | --- | ---: | ---: | ---: | ---: |
${rows.join('\n')}
`,
  );
}
