// What structured pruning is worth on this machine: time and memory of the command, speed of the
// result, and how close a latency that was asked for is met. Writes bench/prune-speed.md; the words
// speed and time select a half, which is printed only.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

/** Seconds and peak memory of a process. */
function timed(args) {
  const run = spawnSync('/usr/bin/time', ['-f', '%e %M', process.execPath, program, ...args], {
    encoding: 'utf8',
  });
  const [seconds, kilobytes] = run.stderr.trim().split('\n').at(-1).split(' ').map(Number);
  return { seconds, megabytes: kilobytes / 1000 };
}

const gpt = init('gpt.onnx', 'gpt', '--seq', '128');
spawnSync('python3', ['-c', IDS(), at('ids.npz')]);
const bare = ['--no-check', '--no-bench', '--quiet', '-o', at('p.onnx')];
const resnet = init('resnet50.onnx', 'resnet50');
const TIMES = [
  ['resnet50', 'channel, magnitude', ['prune', resnet, '--amount', '0.5', ...bare]],
  ['resnet50', 'magnitude, global', ['prune', resnet, '--method', 'magnitude', ...bare]],
  ['gpt, 124 M', 'magnitude, global', ['prune', gpt, '--method', 'magnitude', ...bare]],
  [
    'gpt, 124 M',
    'wanda, 16 samples of 128',
    ['prune', gpt, '--method', 'wanda', '--data', at('ids.npz'), ...bare],
  ],
  [
    'gpt, 124 M',
    'sparsegpt, 16 samples of 128',
    ['prune', gpt, '--method', 'sparsegpt', '--data', at('ids.npz'), ...bare],
  ],
];
const times = (wants('time') ? TIMES : []).map(([name, method, args]) => {
  const runs = Array.from({ length: method.startsWith('sparsegpt') ? 1 : ROUNDS }, () =>
    timed(args),
  );
  const row = `| ${name} | ${method} | ${median(runs.map((r) => r.seconds)).toFixed(1)} | ${median(runs.map((r) => r.megabytes)).toFixed(0)} |`;
  process.stdout.write(`${row}\n`);
  return row;
});

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

if (words.length === 0)
  writeFileSync(
    join(root, 'bench/prune-speed.md'),
    `# Speed after structured pruning

${machine()}

Untrained models of \`xform init\`, timed beside the original by the command itself (batch 1; median of ${ROUNDS} runs of the command). Latency is the time of the result against that of the original.

| model | asked | parameters | multiply-adds | latency | speed |
| --- | --- | ---: | ---: | ---: | ---: |
${rows.join('\n')}

## Time of the command

Load, prune, write; without checks (\`--no-check --no-bench\`).

| model | method | s | MB |
| --- | --- | ---: | ---: |
${times.join('\n')}
${peerText()}`,
  );
