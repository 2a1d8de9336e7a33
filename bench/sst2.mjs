// What masked words teach a classifier: a small transformer learns SST-2 (sentiment of sentences) from
// nothing, once straight from the labels and once after it has learnt the words of the same sentences. All
// through the command line. Writes bench/sst2.md. A folder as first argument keeps what was reached: a
// run that was stopped goes on there; numbers are the seeds to run now.
// Data: ../shared; without it the bench says so and ends.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { keptRun } from './kept.mjs';
import { machine, program, root } from './machine.mjs';

const data = join(process.env.XFORM_SHARED ?? join(root, '../shared'), 'data');
const [train, dev] = ['train', 'dev'].map((part) => join(data, `sst2_${part}.txt.gz`));
if (!existsSync(train)) {
  process.stdout.write('skipped: there is no ../shared\n');
  process.exit(0);
}
const { folder, words, found, ...kept } = keptRun('sst2');
const at = (name) => join(folder, name);

const SEEDS = [0, 1, 2];
const chosen = SEEDS.filter((seed) => words.length === 0 || words.includes(`${seed}`));
const VOCABULARY = 8000;
const SIZES = ['--hidden', '64', '--layers', '2', '--heads', '4', '--mlp-dim', '128'];
const SEQ = ['--seq', '40'];
const STEPS = 8000;
const EPOCHS = 3;
/** Two runs at a time, a thread each. */
const run = ['--threads', '1', '--batch', '32', '--clip', '1'];
/** Half of the words are hidden, and what they do not need decays: Adam moves rare words as far as others. */
const MLM = [
  ...['--steps', `${STEPS}`, '--lr', '0.003', '--warmup', '0.05'],
  ...['--mask-share', '0.5', '--weight-decay', '0.5'],
];
const FINE = [
  ...['--epochs', `${EPOCHS}`, '--lr', '0.001', '--warmup', '0.1', '--weight-decay', '0.1'],
];

/** All that learns classes, and its head alone. */
const STRAIGHT = ['straight', 'straight head'];
const PRETRAINED = ['pretrained', 'pretrained head'];

async function xform(...args) {
  const options = { maxBuffer: 1 << 28 };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, ...args.flat(2), '--json'],
    options,
  );
  return JSON.parse(stdout);
}

const remember = (key, value) => {
  kept.remember(key, value);
  process.stdout.write(`${key}: ${JSON.stringify(value)}\n`);
};

const onward = (to) => (existsSync(`${to}.checkpoint`) ? ['--resume'] : []);
const texts = (path) => ['--data', path, '--label', '0', '--tokenizer', at('words.json'), SEQ];
const seeded = (seed) => ['--seed', `${seed}`];

async function start(seed) {
  const sizes = ['--head', 'mlm', '--vocab', `${VOCABULARY}`, SIZES, SEQ, '--dropout', '0.1'];
  await xform('init', 'bert', sizes, seeded(seed), '-o', at(`start${seed}.onnx`));
}

async function learnWords(seed) {
  const [from, to] = [`start${seed}.onnx`, `words${seed}.onnx`].map(at);
  const flags = ['--objective', 'mlm', run, MLM, seeded(seed)];
  const { metrics } = await xform('train', from, texts(train), flags, '-o', to, onward(to));
  remember(`words ${seed}`, { loss: metrics.loss });
}

async function learnClasses(seed, way) {
  const from = at(way.startsWith('straight') ? `start${seed}.onnx` : `words${seed}.onnx`);
  const to = at(`${way.replace(' ', '-')}${seed}.onnx`);
  const frozen = way.endsWith('head') ? ['--freeze', 'embeddings*', '--freeze', 'encoder*'] : [];
  const flags = ['--head', 'classify:2', run, FINE, frozen, seeded(seed)];
  await xform('train', from, texts(train), flags, '-o', to, onward(to));
  const judged = await xform('eval', to, texts(dev), '--no-bench', '--threads', '1');
  const { accuracy } = judged.metrics;
  remember(`${way} ${seed}`, { accuracy });
}

if (!existsSync(at('words.json'))) {
  const lines = gunzipSync(readFileSync(train))
    .toString('utf8')
    .replace(/^[01] /gm, '');
  writeFileSync(at('train.txt'), lines);
  const special = ['--vocab', `${VOCABULARY}`, '--special', '<pad>,<mask>'];
  await xform('data', 'tokenizer', '--train', at('train.txt'), special, '-o', at('words.json'));
}
const jobs = chosen.flatMap((seed) => {
  const isNew = (key) => found[`${key} ${seed}`] === undefined;
  const ready = existsSync(at(`start${seed}.onnx`)) ? Promise.resolve() : start(seed);
  const pretrained = async () => {
    await ready;
    if (isNew('words')) await learnWords(seed);
    for (const way of PRETRAINED) if (isNew(way)) await learnClasses(seed, way);
  };
  const straight = async () => {
    await ready;
    for (const way of STRAIGHT) if (isNew(way)) await learnClasses(seed, way);
  };
  return [pretrained, straight];
});
const next = jobs.values();
const worker = async () => {
  for (const job of next) await job();
};
await Promise.all([worker(), worker()]);

const of = (way) => SEEDS.map((seed) => found[`${way} ${seed}`]).filter(Boolean);
if (['words', ...STRAIGHT, ...PRETRAINED].every((way) => of(way).length === SEEDS.length)) {
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const said = (way) => {
    const all = of(way).map(({ accuracy }) => 100 * accuracy);
    const [least, most] = [Math.min(...all), Math.max(...all)].map((x) => x.toFixed(1));
    return `${mean(all).toFixed(1)} (${least} to ${most})`;
  };
  const row = (name, ways) => {
    const [straight, pretrained] = ways;
    const gained = SEEDS.map((seed) => {
      const [own, other] = ways.map((way) => 100 * found[`${way} ${seed}`].accuracy);
      return `${other < own ? '' : '+'}${(other - own).toFixed(1)}`;
    });
    return `| ${name} | ${said(straight)} | ${said(pretrained)} | ${gained.join(', ')} |`;
  };
  const both = STRAIGHT.map((way, i) => [way, PRETRAINED[i]]);
  const loss = mean(of('words').map(({ loss }) => loss)).toFixed(2);
  writeFileSync(
    join(root, 'bench/sst2.md'),
    `# What masked words teach a classifier

${machine()}

A transformer of 2 layers of 64 (${VOCABULARY} tokens of byte-level BPE, dropout 0.1) learns the sentiment of the 6,920 sentences
of SST-2, ${EPOCHS} epochs from random weights, or after ${STEPS} steps of 32 on the masked words of the same sentences (loss
${loss} in the end; no labels, no other text). Accuracy in % on the 872 sentences of the dev part (a deviation of
1.4); mean of three seeds, smallest and largest, and what each seed gained.

| what learns | from labels alone | after masked words | gained |
| --- | ---: | ---: | ---: |
${row('all weights', both[0])}
${row('the head alone, on frozen states', both[1])}
`,
  );
}
