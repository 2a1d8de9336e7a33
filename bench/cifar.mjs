// CIFAR-10 from JPEGs: ResNet-20 learns from nothing, and a trained network without half of its channels
// learns again. Writes bench/cifar.md. A folder as first argument keeps what was reached: a run that was
// stopped goes on there. Words select parts: learn, heal. Data: ../shared.

import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cifar, sharedModel } from './cifar-data.mjs';
import { keptRun } from './kept.mjs';
import { machine, program, root, xform } from './machine.mjs';

const { folder, words, found, isTold, ...run } = keptRun('cifar');
const at = (name) => join(folder, name);
// Ctrl-C is for the run below, which then writes its checkpoint and says how far it came.
process.on('SIGINT', () => {});
const images = cifar(folder);
if (!images) {
  process.stdout.write('skipped: CIFAR-10 needs ../shared\n');
  process.exit();
}
const remember = (key, value) => {
  run.remember(key, value);
  process.stdout.write(`${key}: ${JSON.stringify(value)}\n`);
};

const DATA = ['--data', images.train, '--val', images.test];
const VARIED = ['--augment', 'flip,shift=4'];
const LEARN = ['--epochs', '10', '--batch', '64', '--optimizer', 'sgd', '--momentum', '0.9'];
const SLOPE = ['--nesterov', '--lr', '0.1', '--schedule', 'onecycle', '--weight-decay', '0.0005'];
const NORMAL = ['--normalize', 'mean=0.491,0.482,0.447,std=0.247,0.243,0.262'];
const TEACHER = 'cifar10_resnet_4b';
const ITS_NORMAL = ['--normalize', 'mean=0.4914,0.4822,0.4465,std=0.2470,0.2435,0.2616'];
const CUT = [
  ...['--amount', '0.5', '--criterion', 'taylor', '--scope', 'global', '--normalization', 'none'],
  ...['--min-channels', '2', '--samples', '1024'],
];
/** Few epochs, and as many as still bring something. */
const HEALS = [10, 150];
const HEAL = [
  ...['--batch', '64', '--optimizer', 'sgd', '--momentum', '0.9', '--nesterov', '--lr', '0.03'],
  ...['--schedule', 'onecycle', '--weight-decay', '0.0005', '--alpha', '0.5'],
];
const HEAL_VARIED = ['--augment', 'flip,shift=3,zoom=0.8'];

/** Trains, or goes on with it; seconds of all parts of a run, accuracy at its end. */
function trained(key, command, output, flags) {
  const resume = existsSync(`${at(output)}.checkpoint`) ? ['--resume'] : [];
  const { metrics, error } = xform(...command, ...DATA, ...flags, '-o', at(output), ...resume);
  if (error) throw new Error(error.message);
  const seconds = (found[`${key} so far`] ?? 0) + metrics.training_seconds;
  remember(`${key} so far`, seconds);
  if (metrics.steps < metrics.total_steps) {
    process.stdout.write(`stopped at step ${metrics.steps} of ${metrics.total_steps}\n`);
    process.exit(130);
  }
  return { accuracy: metrics.validation.accuracy, seconds };
}

function learn() {
  const sizes = ['--in', '3x32x32', '--classes', '10', '-o', at('start.onnx')];
  spawnSync(process.execPath, [program, 'init', 'resnet20', ...sizes, '--quiet']);
  const flags = [...NORMAL, ...VARIED, ...LEARN, ...SLOPE, '--label-smoothing', '0.1'];
  remember('learn', trained('learn', ['train', at('start.onnx')], 'resnet20.onnx', flags));
}

function judge(model) {
  const flags = ['--data', images.test, ...ITS_NORMAL, '--task', 'classify', '--no-bench'];
  return xform('eval', model, ...flags).metrics.accuracy;
}

function heal() {
  const whole = sharedModel(TEACHER);
  if (!existsSync(at('half.onnx'))) {
    const flags = [...ITS_NORMAL, ...CUT, '--no-bench', '-o', at('half.onnx')];
    const { input, output, error } = xform('prune', whole, '--data', images.train, ...flags);
    if (error) throw new Error(error.message);
    remember('parameters', [input.parameters, output.parameters]);
    remember('cut', { before: judge(whole), after: judge(at('half.onnx')) });
  }
  const command = ['distill', at('half.onnx'), '--teacher', whole];
  for (const epochs of HEALS.filter((count) => !found[`heal ${count}`])) {
    const flags = [...ITS_NORMAL, ...HEAL_VARIED, ...HEAL, '--epochs', `${epochs}`];
    const key = `heal ${epochs}`;
    remember(key, trained(key, command, `healed-${epochs}.onnx`, flags));
  }
}

if ((words.length === 0 || words.includes('learn')) && !found.learn) learn();
if (words.length === 0 || words.includes('heal')) heal();

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const said = (flags) => flags.join(' ').replaceAll('--', '');
const rows = [];
const notes = [];
function row(task, goal, { accuracy, seconds }) {
  rows.push(`| ${task} | ${goal} | ${percent(accuracy)} | ${seconds.toFixed(0)} |`);
}
if (found.learn) {
  const how = `${said([...LEARN, ...SLOPE])}, label-smoothing 0.1`;
  row('ResNet-20 from nothing', '65 % in 30 min', found.learn);
  notes.push(`- ResNet-20: ${how}; ${said(VARIED)}.`);
}
for (const epochs of HEALS.filter((count) => found[`heal ${count}`])) {
  const goal = `${percent(found.cut.before)} - 1 point`;
  const task = `${TEACHER} without half of its channels, ${epochs} epochs`;
  row(task, goal, found[`heal ${epochs}`]);
}
if (found.cut) {
  const { cut, parameters } = found;
  const [before, after] = parameters.map((count) => `${(count / 1000).toFixed(0)} k`);
  notes.push(`- ${TEACHER}: ${before} parameters, then ${after} (prune ${said(CUT)}), ${percent(cut.after)}
  right then; distilled from the whole one, ${said([...HEAL, ...HEAL_VARIED])}.`);
}
if (rows.length > 0 && isTold) {
  writeFileSync(
    join(root, 'bench/cifar.md'),
    `# CIFAR-10

${machine()}

10,000 JPEGs to train on, accuracy on 5,000 others.

| task | goal | reached | s |
| --- | --- | ---: | ---: |
${rows.join('\n')}

${notes.join('\n')}
`,
  );
}
