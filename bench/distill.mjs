// What distillation costs and what it brings: a step beside the student's own, with the teacher in the
// graph and with its answers kept; MNIST with few labels; the characters of tinyshakespeare. Writes
// bench/distill.md. Words select parts: steps, mnist, shakespeare. Data: ../shared; .peers writes arrays.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, median, peersPython, program, root, xform } from './machine.mjs';

const python = peersPython();
if (!python) {
  process.stdout.write('skipped: there is no .peers\n');
  process.exit(0);
}
const shared = process.env.XFORM_SHARED ?? join(root, '../shared');
const folder = mkdtempSync(join(tmpdir(), 'xform-distill-bench-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const words = process.argv.slice(2);
const wants = (part) => words.length === 0 || words.includes(part);
const write = (script, ...args) => {
  const { status, stderr } = spawnSync(python, ['-c', script, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
};
const init = (name, ...args) =>
  spawnSync(process.execPath, [program, 'init', ...args, '-o', at(name), '--quiet']);
const sections = [];
const section = (title, text, columns, rows) => {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const table = [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
  sections.push(`## ${title}\n\n${text}\n\n${table}\n`);
  process.stdout.write(`${sections.at(-1)}\n`);
};
const report = (...args) => {
  const found = xform(...args);
  if (!found.metrics) throw new Error(JSON.stringify(found.error));
  return found;
};

const ROUNDS = 3;
const BATCH = 16;

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

/** In turn, so that what else the machine does falls on all; ratios are medians over the rounds. */
function steps() {
  init('student.onnx', 'resnet18', '--in', '3x32x32', '--classes', '10', '--width', '16');
  init('teacher.onnx', 'resnet18', '--in', '3x32x32', '--classes', '10', '--width', '32');
  const script =
    'import numpy as np,sys;r=np.random.default_rng(0);np.savez(sys.argv[1],input=r.standard_normal((512,3,32,32),dtype=np.float32),y=r.integers(0,10,512))';
  write(script, at('data.npz'));
  const run = ['--data', at('data.npz'), '--batch', `${BATCH}`, '--steps', '64', '--threads', '1'];
  const student = [at('student.onnx'), ...run];
  const distill = [...student, '--teacher', at('teacher.onnx')];
  const cached = [...distill, '--cache', at('answers')];
  stepMs('distill', ...cached);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const alone = stepMs('train', ...student);
    const bench = ['--batch', `${BATCH}`, '--threads', '1', '--runs', '30'];
    const { metrics } = report('bench', at('teacher.onnx'), ...bench);
    const forward = forwardMs(metrics);
    return {
      forward: forward / alone,
      inside: stepMs('distill', ...distill) / alone,
      cached: stepMs('distill', ...cached) / alone,
      alone,
    };
  });
  const of = (name) => median(rounds.map((round) => round[name]));
  const goal = 1 + 1.1 * of('forward');
  const shown = (value) => value.toFixed(2);
  section(
    'Time of a step',
    `resnet18 of width 16 taught by one of width 32, batches of ${BATCH}, one thread; ${ROUNDS} rounds in turn, medians of ratios to the student alone (${of('alone').toFixed(0)} ms).`,
    ['', 'ratio', 'goal'],
    [
      ['student alone', '1.00', ''],
      ["teacher's forward pass alone", shown(of('forward')), ''],
      ['teacher in the graph', shown(of('inside')), `<= ${shown(goal)} (1 + 1.1 x forward)`],
      ['answers kept (--cache)', shown(of('cached')), '<= 1.05'],
    ],
  );
}

function forwardMs(metrics) {
  if (metrics.latency_ms) return metrics.latency_ms.p50;
  const [first] = Object.values(metrics).filter((value) => value?.latency_ms);
  return first.latency_ms.p50;
}

const LABELLED = 200;
const SEEDS = [0, 1, 2];

function mnist() {
  const images = join(shared, 'data/mnist-images-idx3-ubyte.gz');
  if (!existsSync(images)) return process.stdout.write('skipped: mnist, there is no ../shared\n');
  const script = [
    'import gzip,numpy as np,sys',
    'x=np.frombuffer(gzip.open(sys.argv[1]).read()[16:],np.uint8).reshape(-1,1,28,28)',
    'y=np.frombuffer(gzip.open(sys.argv[2]).read()[8:],np.uint8).astype(np.int64)',
    'p=np.random.default_rng(0).permutation(len(x));x=(x[p]/255).astype(np.float32);y=y[p]',
    'n=int(sys.argv[4]);d=sys.argv[3]+"/";few=np.where(np.arange(4000)<n,y[:4000],-1)',
    'np.savez(d+"all.npz",input=x[:4000],y=y[:4000]);np.savez(d+"test.npz",input=x[4000:],y=y[4000:])',
    'np.savez(d+"few.npz",input=x[:n],y=y[:n]);np.savez(d+"mixed.npz",input=x[:4000],y=few)',
    'np.savez(d+"none.npz",input=x[:4000],y=np.full(4000,-1))',
  ].join('\n');
  write(script, images, images.replace('images-idx3', 'labels-idx1'), folder, `${LABELLED}`);
  init('cnn.onnx', 'cnn', '--width', '16', '--hidden', '128');
  const common = ['--batch', '50', '--lr', '0.002', '--val', at('test.npz')];
  const learn = ['--steps', '400', '--eval-every', '400', ...common];
  const taught = report(
    'train',
    at('cnn.onnx'),
    ...['--data', at('all.npz'), '--epochs', '5', ...common, '-o', at('big.onnx')],
  );
  const teacher = ['--teacher', at('big.onnx')];
  const ways = [
    ['labels alone', 'train', 'few', []],
    ['logits', 'distill', 'mixed', [...teacher]],
    ['logits and features', 'distill', 'mixed', [...teacher, '--method', 'feature']],
    ['logits, no labels at all', 'distill', 'none', [...teacher, '--alpha', '1']],
  ];
  let sizes = '';
  const found = new Map(ways.map(([name]) => [name, []]));
  for (const seed of SEEDS) {
    init('small.onnx', 'cnn', '--width', '8', '--hidden', '64', '--seed', `${seed}`);
    for (const [name, command, data, flags] of ways) {
      const { metrics, input } = report(
        command,
        at('small.onnx'),
        ...['--data', at(`${data}.npz`), '--seed', `${seed}`, ...learn, ...flags],
        ...['-o', at('out.onnx')],
      );
      found.get(name).push(100 * metrics.validation.accuracy);
      process.stdout.write(`${name}, seed ${seed}: ${found.get(name).at(-1)}\n`);
      sizes = `${input.parameters} parameters of ${taught.input.parameters}`;
    }
  }
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const base = mean(found.get('labels alone'));
  section(
    'MNIST with few labels',
    `A student (${sizes}) of a cnn that reaches ${(100 * taught.metrics.validation.accuracy).toFixed(1)} % after 5 epochs of 4,000 labelled images. The student has ${LABELLED} labels; distilled, it sees the other images of the 4,000 without labels (label -1). 400 steps each, ${SEEDS.length} seeds, 1,000 test images. Goal: 1 point above labels alone.`,
    ['', 'accuracy', 'lowest to highest', 'points gained'],
    [...found].map(([name, values]) => [
      name,
      `${mean(values).toFixed(1)} %`,
      `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`,
      name === 'labels alone' ? '' : (mean(values) - base).toFixed(1),
    ]),
  );
}

function shakespeare() {
  const text = join(shared, 'data/tinyshakespeare.txt.gz');
  if (!existsSync(text)) return process.stdout.write('skipped: there is no ../shared\n');
  const script = [
    'import gzip,numpy as np,sys',
    't=gzip.open(sys.argv[1],"rt").read();m={c:i for i,c in enumerate(sorted(set(t)))}',
    'a=np.array([m[c] for c in t],dtype=np.int64);n=int(len(a)*0.9)',
    'w=lambda a,s:np.stack([a[i:i+48] for i in range(0,len(a)-48,s)])',
    'np.savez(sys.argv[2],input_ids=w(a[:n],24));np.savez(sys.argv[3],input_ids=w(a[n:],288))',
  ].join('\n');
  write(script, text, at('train.npz'), at('val.npz'));
  const sizes = ['--vocab', '65', '--hidden', '48', '--heads', '4', '--seq', '48'];
  init('g8.onnx', 'gpt', ...sizes, '--layers', '8');
  init('g4.onnx', 'gpt', ...sizes, '--layers', '4');
  const learn = (command, model, steps, ...flags) =>
    report(
      command,
      at(model),
      ...['--data', at('train.npz'), '--val', at('val.npz'), '--objective', 'clm'],
      ...['--batch', '8', '--lr', '0.003', '--warmup', '50', '--clip', '1', '--beta2', '0.99'],
      ...['--steps', `${steps}`, '--eval-every', `${steps}`, ...flags],
    ).metrics.validation.loss.toFixed(3);
  const [teacherSteps, steps] = [600, 300];
  const distill = ['--teacher', at('g8.trained.onnx'), '--temperature', '2', '--alpha', '0.7'];
  const rows = [
    [
      `teacher of 8 layers, ${teacherSteps} steps`,
      learn('train', 'g8.onnx', teacherSteps, '-o', at('g8.trained.onnx')),
    ],
    ['4 layers, trained alone', learn('train', 'g4.onnx', steps, '-o', at('out.onnx'))],
    ['4 layers, distilled', learn('distill', 'g4.onnx', steps, ...distill, '-o', at('out.onnx'))],
  ];
  report('shrink', at('g8.trained.onnx'), '--depth', '0.5', '--no-bench', '-o', at('half.onnx'));
  rows.push(
    [
      'every second layer of the teacher, trained alone',
      learn('train', 'half.onnx', steps, '-o', at('out.onnx')),
    ],
    [
      'every second layer of the teacher, distilled',
      learn('distill', 'half.onnx', steps, ...distill, '-o', at('out.onnx')),
    ],
  );
  section(
    'tinyshakespeare',
    `gpt of hidden size 48 over 48 characters; students of 4 layers with ${steps} steps each, batches of 8, one seed. Validation loss; goal: distilled below trained alone.`,
    ['', 'loss'],
    rows,
  );
}

if (wants('steps')) steps();
if (wants('mnist')) mnist();
if (wants('shakespeare')) shakespeare();
if (words.length === 0) {
  writeFileSync(
    join(root, 'bench/distill.md'),
    `# What distillation costs and brings\n\n${machine()}\n\n${sections.join('\n')}`,
  );
}
