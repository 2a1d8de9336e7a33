// What distillation costs and what it brings: a step beside the student's own, with the teacher in the
// graph and with its answers kept; MNIST and CIFAR-10 with labels and without; MNIST cut into patches, where
// a transformer shows its inner states, too; the characters of tinyshakespeare. Words select parts (steps,
// mnist, patches, cifar, shakespeare); each writes its section of
// bench/distill.md and leaves the others. Data: ../shared; parts whose data is missing say so.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { machine, median, root, xform } from './machine.mjs';

const shared = process.env.XFORM_SHARED ?? join(root, '../shared');
const folder = mkdtempSync(join(tmpdir(), 'xform-distill-bench-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const PAGE = join(root, 'bench/distill.md');
const SEEDS = [0, 1, 2];

const report = (...args) => {
  const found = xform(...args);
  if (!found.metrics) throw new Error(`${args.join(' ')}: ${JSON.stringify(found.error)}`);
  return found;
};
const init = (name, ...args) => report('init', ...args, '-o', at(name)).output.parameters;
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const range = (values, digits) =>
  `${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)}`;

function table(columns, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Puts a section into the page in the place of the one of the same title. */
function section(title, text) {
  const own = `## ${title}\n\n${text}\n`;
  process.stdout.write(`${own}\n`);
  const [, ...parts] = existsSync(PAGE) ? readFileSync(PAGE, 'utf8').split(/^(?=## )/m) : [''];
  const others = parts.filter((part) => !part.startsWith(`## ${title}\n`)).map((p) => p.trimEnd());
  const order = [...others, own.trimEnd()].sort((a, b) => placeOf(a) - placeOf(b));
  const head = `# What distillation costs and brings\n\n${machine()}`;
  writeFileSync(PAGE, `${[head, ...order].join('\n\n')}\n`);
}

const TITLES = ['Time of a step', 'MNIST', 'MNIST in patches', 'CIFAR-10', 'tinyshakespeare'];
const placeOf = (part) => TITLES.findIndex((title) => part.startsWith(`## ${title}\n`));

/**
 * The students of each way with each seed: [way, metric values]. A way is the command and its flags
 * beside those of all; `start` writes the student of a seed.
 */
function students(ways, start, common, metric) {
  const found = ways.map(([way]) => [way, []]);
  for (const seed of SEEDS) {
    start(seed);
    ways.forEach(([way, command, ...flags], i) => {
      const { metrics } = report(
        ...[command, at('student.onnx'), '--seed', `${seed}`, ...common, ...flags],
        ...['-o', at('out.onnx')],
      );
      found[i][1].push(metric(metrics.validation));
      process.stdout.write(`${way}, seed ${seed}: ${found[i][1].at(-1)}\n`);
    });
  }
  return found;
}

/** Rows of accuracy beside the first way, seed by seed. */
function gains(found) {
  const [[, base]] = found;
  return table(
    ['', 'accuracy', 'lowest to highest', 'points gained', 'lowest to highest'],
    found.map(([way, values], i) => {
      const gained = values.map((value, seed) => value - base[seed]);
      const gain = i === 0 ? ['', ''] : [mean(gained).toFixed(1), range(gained, 1)];
      return [way, `${mean(values).toFixed(1)} %`, range(values, 1), ...gain];
    }),
  );
}

const percent = ({ accuracy }) => 100 * accuracy;

const ROUNDS = 5;

/** Milliseconds of a step: the median of its chunks, the first one left out. */
function stepMs(command, ...flags) {
  const log = at('log.jsonl');
  report(command, ...flags, '--log', log, '-o', at('out.onnx'));
  const chunks = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text))
    .filter(({ event }) => event === 'train');
  return median(chunks.slice(1).map((chunk) => 1000 / chunk.steps_per_s));
}

/** Ratios to the student alone, in turn, so that what else the machine does falls on all. */
function stepRatios(student, teacher, run, batch, sizes = []) {
  const own = [at(student), ...run, '--batch', `${batch}`, '--threads', '1'];
  const distill = [...own, '--teacher', at(teacher)];
  const cached = [...distill, '--cache', at(`answers of ${teacher}`)];
  stepMs('distill', ...cached);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const alone = stepMs('train', ...own);
    const bench = ['--batch', `${batch}`, ...sizes, '--threads', '1', '--runs', '150'];
    const forward = forwardMs(report('bench', at(teacher), ...bench).metrics);
    return {
      forward: forward / alone,
      inside: stepMs('distill', ...distill) / alone,
      cached: stepMs('distill', ...cached) / alone,
      alone,
    };
  });
  return (name) => median(rounds.map((round) => round[name]));
}

/** The mean, as times of steps are means over their chunk. */
function forwardMs(metrics) {
  const [first] = [metrics, ...Object.values(metrics)].filter((value) => value?.latency_ms);
  return first.latency_ms.mean;
}

function steps() {
  const photos = cifarFolders();
  const text = shakespeareFiles();
  if (!photos || !text) return;
  const image = ['--in', '3x32x32', '--classes', '10'];
  init('s-resnet.onnx', 'resnet20', ...image, '--width', '8');
  init('t-resnet.onnx', 'resnet20', ...image, '--width', '16');
  const sizes = ['--vocab', '65', '--hidden', '64', '--heads', '4', '--seq', '64'];
  init('s-gpt.onnx', 'gpt', ...sizes, '--layers', '4');
  init('t-gpt.onnx', 'gpt', ...sizes, '--layers', '8');
  const pairs = [
    [
      'resnet20, 8 channels, taught by 16',
      ['s-resnet.onnx', 't-resnet.onnx', ['--data', photos.test, '--steps', '60'], 16],
    ],
    [
      'gpt, 4 layers of 64, taught by 8',
      [
        's-gpt.onnx',
        't-gpt.onnx',
        [...text.flags(64), '--limit', '2000', '--steps', '80'],
        8,
        ['--set', 'seq=64'],
      ],
    ],
  ];
  const rows = pairs.map(([name, asked]) => {
    const of = stepRatios(...asked);
    const [forward, inside, cached] = ['forward', 'inside', 'cached'].map(of);
    const goal = (1 + 1.1 * forward).toFixed(2);
    const numbers = [forward, inside].map((value) => value.toFixed(2));
    return [name, `${of('alone').toFixed(0)} ms`, ...numbers, `<= ${goal}`, cached.toFixed(2)];
  });
  section(
    'Time of a step',
    `One thread; batches of 16 images, of 8 texts. ${ROUNDS} rounds in turn, medians of ratios to the student alone (\`xform train\`). Goals: with the teacher in the graph, the student's step and 1.1 times the teacher's forward pass (\`xform bench\`); with answers kept (\`--cache\`), 1.05.\n\n${table(
      ['', 'student alone', "teacher's forward pass", 'teacher in the graph', 'goal', '`--cache`'],
      rows,
    )}`,
  );
}

/** Images and labels `from` to `to` of the 5,000 as files of their own; returns the path of the images. */
function mnistPart(name, from, to) {
  for (const [kind, head, size] of [
    ['images-idx3', 16, 784],
    ['labels-idx1', 8, 1],
  ]) {
    const whole = gunzipSync(readFileSync(join(shared, `data/mnist-${kind}-ubyte.gz`)));
    const start = Buffer.from(whole.subarray(0, head));
    start.writeUInt32BE(to - from, 4);
    const rows = whole.subarray(head + size * from, head + size * to);
    writeFileSync(at(`${name}-${kind}-ubyte`), Buffer.concat([start, rows]));
  }
  return at(`${name}-images-idx3-ubyte`);
}

function mnist() {
  if (!existsSync(join(shared, 'data/mnist-images-idx3-ubyte.gz'))) return missing('mnist');
  const data = ['--data', mnistPart('train', 0, 4000), '--val', mnistPart('test', 4000, 5000)];
  const large = init('cnn.onnx', 'cnn', '--width', '16', '--hidden', '128');
  const learn = [...data, '--batch', '50', '--lr', '0.003'];
  const teacher = report(
    ...['train', at('cnn.onnx'), ...learn, '--epochs', '10', '--eval-every', '800'],
    ...['--augment', 'shift=2', '-o', at('teacher.onnx')],
  );
  const taught = ['distill', '--teacher', at('teacher.onnx'), '--cache', at('answers')];
  let small = 0;
  const found = students(
    [
      ['labels alone', 'train'],
      ['teacher and labels', ...taught],
      ['teacher, no labels', ...taught, '--alpha', '1'],
    ],
    (seed) => {
      const sizes = ['--in', '1x28x28', '--hidden', '64', '--classes', '10'];
      small = init('student.onnx', 'mlp', ...sizes, '--seed', `${seed}`);
    },
    [...learn, '--steps', `${MNIST_STEPS}`, '--eval-every', `${MNIST_STEPS}`],
    percent,
  );
  section(
    'MNIST',
    `A perceptron of ${small} parameters taught by a cnn of ${large} (${percent(teacher.metrics.validation).toFixed(1)} %), both from the same 4,000 images; 1,000 others are the test. ${MNIST_STEPS} steps of 50 images each, ${SEEDS.length} seeds. Goals: 1 point gained with labels; without, no more than 1 point lost.\n\n${gains(found)}`,
  );
}

const MNIST_STEPS = 2400;
const PATCHES_STEPS = 1200;

function patches() {
  if (!existsSync(join(shared, 'data/mnist-images-idx3-ubyte.gz'))) return missing('patches');
  const data = ['--data', mnistPart('train', 0, 4000), '--val', mnistPart('test', 4000, 5000)];
  const sizes = ['--in', '1x28x28', '--classes', '10', '--patch', '7', '--heads', '4'];
  const wide = ['--hidden', '64', '--layers', '4', '--mlp-dim', '128'];
  const narrow = ['--hidden', '32', '--layers', '2', '--mlp-dim', '64'];
  const large = init('vit.onnx', 'vit', ...sizes, ...wide);
  const learn = [...data, '--batch', '50'];
  const teacher = report(
    ...['train', at('vit.onnx'), ...learn, '--augment', 'shift=2', '--epochs', '60'],
    ...['--lr', '0.002', '--warmup', '0.1', '--weight-decay', '0.05', '--eval-every', '4800'],
    ...['-o', at('teacher.onnx')],
  );
  const taught = ['distill', '--teacher', at('teacher.onnx')];
  let small = 0;
  const found = students(
    [
      ['labels alone', 'train'],
      ['teacher and labels', ...taught],
      ['the same and features', ...taught, '--method', 'feature'],
      ['the same and attention', ...taught, '--method', 'attention'],
    ],
    (seed) => {
      small = init('student.onnx', 'vit', ...sizes, ...narrow, '--seed', `${seed}`);
    },
    [...learn, '--lr', '0.003', '--steps', `${PATCHES_STEPS}`, '--eval-every', `${PATCHES_STEPS}`],
    percent,
  );
  section(
    'MNIST in patches',
    `A vision transformer of 2 layers of 32 (${small} parameters, patches of 7x7) taught by one of 4 layers of 64 (${large}; ${percent(teacher.metrics.validation).toFixed(1)} %), both from the same 4,000 images; 1,000 others are the test. ${PATCHES_STEPS} steps of 50 images each, ${SEEDS.length} seeds. Features are the states behind layers, through learned projections; attention adds maps of attention and relations of values. Goal: more with features.\n\n${gains(found)}`,
  );
}

/** The 10,000 + 5,000 images as folders. */
function cifarFolders() {
  const [train, test] = ['train10000', 'test'].map((n) => join(shared, `data/cifar10_${n}.tar.gz`));
  if (!existsSync(train)) return missing('cifar');
  if (!existsSync(at('cifar'))) {
    mkdirSync(at('cifar'));
    for (const file of [train, test]) spawnSync('tar', ['xzf', file, '-C', at('cifar')]);
  }
  return { train: at('cifar/train'), test: at('cifar/test') };
}

const CIFAR_STEPS = 600;
const CIFAR_SHARE = 0.25;

function cifar() {
  const photos = cifarFolders();
  if (!photos) return;
  const teacher = join(shared, 'models/cifar10_resnet_4b.onnx');
  const normalize = ['--normalize', 'mean=0.4914,0.4822,0.4465,std=0.2023,0.1994,0.2010'];
  const judged = report('eval', teacher, '--data', photos.test, ...normalize);
  const large = report('inspect', teacher).input.parameters;
  const taught = ['distill', '--teacher', teacher];
  const related = ['--feature-loss', 'relational', '--feature-weight', '5'];
  let small = 0;
  const found = students(
    [
      ['labels alone', 'train'],
      ['teacher and labels', ...taught],
      ['the same and features (relational)', ...taught, ...related],
      ['teacher, no labels', ...taught, '--alpha', '1'],
    ],
    (seed) => {
      const sizes = ['--in', '3x32x32', '--classes', '10', '--layers', '3'];
      const widths = ['--width', '8', '--hidden', '32'];
      small = init('student.onnx', 'cnn', ...sizes, ...widths, '--seed', `${seed}`);
    },
    [
      ...['--data', photos.train, '--val', photos.test, ...normalize, '--batch', '50'],
      ...['--lr', '0.003', '--steps', `${CIFAR_STEPS}`, '--eval-every', `${CIFAR_STEPS}`],
      ...['--split', `train=${CIFAR_SHARE}`],
    ],
    percent,
  );
  section(
    'CIFAR-10',
    `A cnn of ${small} parameters taught by the residual network \`cifar10_resnet_4b\` of ${large} (${(100 * accuracyOf(judged)).toFixed(1)} %, which others trained on all 50,000 images). Students see ${10_000 * CIFAR_SHARE} of them (others for each seed) in ${CIFAR_STEPS} steps of 50; the test is 5,000 other images. ${SEEDS.length} seeds. Goals: 1 point gained with labels; more with features; without labels, no more than 1 point lost.\n\n${gains(found)}`,
  );
}

/** Of the only model of a report of eval. */
function accuracyOf({ metrics }) {
  const [first] = [metrics, ...Object.values(metrics)].filter((value) => value?.accuracy);
  return first.accuracy;
}

function shakespeareFiles() {
  const text = join(shared, 'data/tinyshakespeare.txt.gz');
  if (!existsSync(text)) return missing('shakespeare');
  const all = gunzipSync(readFileSync(text)).toString();
  const cut = Math.floor(0.9 * all.length);
  writeFileSync(at('train.txt'), all.slice(0, cut));
  writeFileSync(at('val.txt'), all.slice(cut));
  return {
    flags: (seq) => [
      ...['--data', at('train.txt'), '--tokenizer', 'char', '--objective', 'clm'],
      ...['--seq', `${seq}`, '--stride', `${seq}`],
    ],
  };
}

function shakespeare() {
  const text = shakespeareFiles();
  if (!text) return;
  const [seq, teacherSteps, steps] = [48, 1200, 300];
  const sizes = ['--vocab', '65', '--hidden', '48', '--heads', '4', '--seq', `${seq}`];
  init('g8.onnx', 'gpt', ...sizes, '--layers', '8');
  const learn = (count) => [
    ...[...text.flags(seq), '--val', at('val.txt'), '--batch', '8', '--lr', '0.003'],
    ...['--warmup', '0.1', '--clip', '1', '--beta2', '0.99'],
    ...['--steps', `${count}`, '--eval-every', `${count}`],
  ];
  const teacher = report('train', at('g8.onnx'), ...learn(teacherSteps), '-o', at('teacher.onnx'));
  const taught = ['distill', '--teacher', at('teacher.onnx'), '--alpha', '0.7'];
  const logits = [...taught, '--temperature', '2'];
  const lossOf = ({ loss }) => loss;
  const ways = [
    ['trained alone', 'train'],
    ['distilled: logits', ...logits],
    ['distilled: logits and attention', ...logits, '--method', 'attention'],
  ];
  const rows = students(
    ways,
    (seed) => init('student.onnx', 'gpt', ...sizes, '--layers', '4', '--seed', `${seed}`),
    learn(steps),
    lossOf,
  );
  section(
    'tinyshakespeare',
    `gpt of width 48 over ${seq} characters. A teacher of 8 layers (${teacherSteps} steps, loss ${teacher.metrics.validation.loss.toFixed(3)}) and students of 4 layers, ${steps} steps of 8 texts each, ${SEEDS.length} seeds. Loss on the last tenth of the text; goal: distilled below trained alone.\n\n${table(
      ['', 'loss', 'lowest to highest'],
      rows.map(([way, values]) => [way, mean(values).toFixed(3), range(values, 3)]),
    )}`,
  );
}

function missing(part) {
  process.stdout.write(`skipped: ${part}, there is no ../shared\n`);
}

const parts = { steps, mnist, patches, cifar, shakespeare };
const words = process.argv.slice(2);
for (const [name, part] of Object.entries(parts)) {
  if (words.length === 0 || words.includes(name)) part();
}
