// What structured pruning is worth on this machine: time and memory of the command, speed of the
// result, and how close a latency that was asked for is met. Writes bench/prune-speed.md; of the
// words speed and time one makes only its half anew.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, median, peersPython, program, root, xform } from './machine.mjs';

const folder = mkdtempSync(join(tmpdir(), 'xform-prune-speed-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const init = (name, ...args) => {
  spawnSync(process.execPath, [program, 'init', ...args, '-o', at(name), '--quiet']);
  return at(name);
};
const ROUNDS = 3;
const words = process.argv.slice(2);
const wants = (part) => words.length === 0 || words.includes(part);

const CASES = [
  ['resnet50', ['resnet50'], ['--amount', '0.5'], []],
  ['resnet50', ['resnet50'], ['--target', 'latency=0.5'], []],
  ['resnet50', ['resnet50'], ['--target', 'flops=0.5'], []],
  ['mobilenetv2', ['mobilenetv2'], ['--amount', '0.5'], []],
  ['mobilenetv2', ['mobilenetv2'], ['--target', 'latency=0.5'], []],
  [
    'bert',
    ['bert', '--seq', '128'],
    ['--method', 'head,neuron', '--amount', '0.5'],
    ['--set', 'seq=128'],
  ],
  [
    'bert',
    ['bert', '--seq', '128'],
    ['--method', 'head,neuron', '--target', 'latency=0.5'],
    ['--set', 'seq=128'],
  ],
  ['vit', ['vit'], ['--method', 'head,neuron', '--amount', '0.5'], []],
];
const rows = (wants('speed') ? CASES : []).map(([name, arch, flags, sizes]) => {
  const model = init(`${name}.onnx`, ...arch);
  const found = Array.from({ length: ROUNDS }, () => {
    const { metrics, error } = xform('prune', model, '-o', at('p.onnx'), ...flags, ...sizes);
    if (error) process.stdout.write(`${name} ${flags.join(' ')}: ${error.message}\n`);
    return metrics;
  }).filter(Boolean);
  const of = (pick) => median(found.map(pick));
  const row = `| ${name} | ${flags.join(' ').replaceAll('--', '')} | ${of((m) => m.params_ratio).toFixed(2)} | ${of((m) => m.flops_ratio ?? Number.NaN).toFixed(2)} | ${of((m) => m.latency_ratio).toFixed(3)} | ${(1 / of((m) => m.latency_ratio)).toFixed(2)}x |`;
  process.stdout.write(`${row}\n`);
  return row;
});

/** Seconds, of the clock and of all cores, and peak memory of a process. */
function timed(args) {
  const command = ['-f', '%e %U %M', process.execPath, program, ...args];
  const run = spawnSync('/usr/bin/time', command, { encoding: 'utf8' });
  const figures = run.stderr.trim().split('\n').at(-1).split(' ').map(Number);
  const [seconds, cpu, kilobytes] = figures;
  return { seconds, cpu, megabytes: kilobytes / 1000 };
}

const GPT = { hidden: 768, mlp: 3072, layers: 12, rows: 16 * 128, seq: 128 };
/** Bytes of the largest weight of the gpt: its table of words. */
const LARGEST = 50257 * 768 * 4;
const BOUND = (4 * LARGEST) / 1e6 + 500;

/** GFLOP of the matrix products of SparseGPT on the gpt, by what they are for. */
function productsOfSparseGpt() {
  const { hidden: d, mlp, layers, rows, seq } = GPT;
  // [inputs, outputs] of the four products of a block; the first of each input makes its X^T X.
  const weights = [
    [d, 3 * d],
    [d, d],
    [d, mlp],
    [mlp, d],
  ];
  const sum = (of) => (layers * weights.reduce((total, one) => total + of(...one), 0)) / 1e9;
  return {
    // Data passes each block as it was, and pruned.
    forward: sum((k, n) => 2 * 2 * rows * k * n) + (2 * layers * 4 * rows * seq * d) / 1e9,
    gram: sum((k) => 2 * rows * k * k),
    factor: sum((k) => k ** 3 / 3),
    update: sum((k, n) => k * k * n),
  };
}

/** GFLOP/s of the products of a network of squares, timed by `xform bench`. */
function rateOfProducts() {
  const width = 3072;
  const sizes = ['--in', `${width}`, '--hidden', `${width}`, '--classes', `${width}`];
  const model = init('squares.onnx', 'mlp', ...sizes);
  const { metrics } = xform('bench', model, '--batch', '1024', '--runs', '5');
  const layers = 2;
  const latency = metrics?.latency_ms?.p50 ?? metrics?.[model]?.latency_ms?.p50;
  return (layers * 2 * 1024 * width * width) / (latency * 1e6);
}

const isTimed = wants('time');
if (isTimed) spawnSync('python3', ['-c', IDS(), at('ids.npz')]);
const gpt = isTimed ? init('gpt.onnx', 'gpt', '--seq', '128') : '';
const bare = ['--no-check', '--no-bench', '--quiet', '-o', at('p.onnx')];
const resnet = isTimed ? init('resnet50.onnx', 'resnet50') : '';
const apart = at('apart.onnx');
if (isTimed)
  xform('optimize', gpt, '-o', apart, '--passes', 'drop-dead', '--external-data', '--no-check');
const ids = ['--data', at('ids.npz'), ...bare];
const SAMPLES = '16 samples of 128';
const TIMES = [
  ['resnet50', 'channel, magnitude', ['prune', resnet, '--amount', '0.5', ...bare]],
  ['resnet50', 'magnitude, global', ['prune', resnet, '--method', 'magnitude', ...bare]],
  ['gpt, 124 M', 'magnitude, global', ['prune', gpt, '--method', 'magnitude', ...bare]],
  ...['wanda', 'sparsegpt'].flatMap((method) => [
    ['gpt, 124 M', `${method}, ${SAMPLES}`, ['prune', gpt, '--method', method, ...ids]],
    [
      'gpt, 124 M, external data',
      `${method}, ${SAMPLES}`,
      ['prune', apart, '--method', method, '--external-data', ...ids],
    ],
  ]),
];
let sparse;
const times = (isTimed ? TIMES : []).map(([name, method, args]) => {
  const isSparseGpt = method.startsWith('sparsegpt');
  const runs = Array.from({ length: name.startsWith('gpt') ? 1 : ROUNDS }, () => timed(args));
  const of = (pick) => median(runs.map(pick));
  if (isSparseGpt) sparse ??= runs[0];
  const bound = name.startsWith('gpt') && args.includes('--data') ? BOUND.toFixed(0) : '';
  const row = `| ${name} | ${method} | ${of((r) => r.seconds).toFixed(1)} | ${of((r) => r.cpu).toFixed(1)} | ${of((r) => r.megabytes).toFixed(0)} | ${bound} |`;
  process.stdout.write(`${row}\n`);
  return row;
});

function sparseText() {
  if (!sparse) return '';
  const counts = productsOfSparseGpt();
  const all = Object.values(counts).reduce((a, b) => a + b, 0);
  const parts = Object.entries(counts).map(([name, flop]) => `${name} ${flop.toFixed(0)}`);
  const rate = rateOfProducts();
  const share = all / rate / sparse.seconds;
  const text = `
sparsegpt on the gpt is ${all.toFixed(0)} GFLOP of matrix products (${parts.join(', ')}): ${(all / sparse.seconds).toFixed(0)} GFLOP/s
over the whole run with loading and saving. onnxruntime does ${rate.toFixed(0)} GFLOP/s on products of 1024 × 3072 × 3072 by
themselves, measured right behind, so that they are ${(100 * share).toFixed(0)} % of the time; factors are made in double
precision, at half that rate, and count as if they were not.
`;
  process.stdout.write(text);
  return text;
}

/** Token ids, written without NumPy: an .npz is a zip of one stored .npy. */
function IDS() {
  return [
    'import random,struct,sys,zipfile',
    'random.seed(0)',
    'rows,columns=16,128',
    "head=\"{'descr': '<i8', 'fortran_order': False, 'shape': (%d, %d), }\"%(rows,columns)",
    'head+=" "*(63-(len(head)+10)%64)+"\\n"',
    'body=b"".join(struct.pack("<q",random.randrange(50257)) for _ in range(rows*columns))',
    'data=b"\\x93NUMPY\\x01\\x00"+struct.pack("<H",len(head))+head.encode()+body',
    'zipfile.ZipFile(sys.argv[1],"w").writestr("input_ids.npy",data)',
  ].join('\n');
}

/** Torch-Pruning at the same ratio on the same network, where the peers are installed. */
function peerText() {
  const python = peersPython();
  const run =
    python && spawnSync(python, [join(root, 'bench/prune_peer.py')], { encoding: 'utf8' });
  if (run?.status !== 0) return '';
  const { params, macs, seconds } = JSON.parse(run.stdout.trim().split('\n').at(-1));
  return `\nTorch-Pruning leaves ResNet-50 at half of its channels ${params.toFixed(2)} of the parameters and ${macs.toFixed(2)} of the multiply-adds, in ${seconds.toFixed(1)} s without loading and saving.\n`;
}

const products = sparseText();
const PAGE = join(root, 'bench/prune-speed.md');
const CUT = '## Time of the command';
const [knownSpeed = '', knownTimes = ''] = existsSync(PAGE)
  ? readFileSync(PAGE, 'utf8').split(CUT)
  : [];
const speedText = `# Speed after structured pruning

${machine()}

Untrained models of \`xform init\`, timed beside the original by the command itself (batch 1; median of ${ROUNDS} runs of the command). Latency is the time of the result against that of the original.

| model | asked | parameters | multiply-adds | latency | speed |
| --- | --- | ---: | ---: | ---: | ---: |
${rows.join('\n')}

`;
const timeText = `

Load, prune, write; without checks (\`--no-check --no-bench\`), by the clock and by the cores. The last column is the
memory that methods which look at data may take.

| model | method | s | s of all cores | MB | largest layer × 4 + 500 MB |
| --- | --- | ---: | ---: | ---: | ---: |
${times.join('\n')}
${products}${isTimed ? peerText() : ''}`;
const page = [wants('speed') ? speedText : knownSpeed, isTimed ? timeText : knownTimes];
writeFileSync(PAGE, page.join(CUT));
