// Quantisation beside onnxruntime's own Python tools at the same settings: time and peak memory of the
// whole command, speed of the result, accuracy on the models of known accuracy. Writes
// bench/quantize.md. Words select parts: time, accuracy. Without .peers the peers' columns are left
// out; without ../shared the part on accuracy is.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, median, peersPython, program, root, sharedModels, xform } from './machine.mjs';

const python = peersPython();
if (!python) process.stdout.write('skipped: onnxruntime in Python, there is no .peers\n');
const words = process.argv.slice(2);
const wants = (part) => words.length === 0 || words.includes(part);
const folder = mkdtempSync(join(tmpdir(), 'xform-quantize-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const ROUNDS = 3;

/** Seconds and peak memory of a process from start to end. */
function timed(command, args) {
  const script = [
    'import json,os,subprocess,sys,time',
    't=time.time()',
    'r=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.PIPE,text=True)',
    's=time.time()-t',
    'import resource',
    'm=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss*1024',
    'print(json.dumps({"seconds":s,"bytes":m,"status":r.returncode,"err":r.stderr[-400:]}))',
  ].join('\n');
  const { stdout } = spawnSync('python3', ['-c', script, command, ...args], { encoding: 'utf8' });
  return JSON.parse(stdout);
}

const ours = (...args) => timed(process.execPath, [program, 'quantize', ...args, '--quiet']);
const theirs = (...args) =>
  python ? timed(python, [join(root, 'bench/quantize_peer.py'), ...args]) : undefined;

const seconds = (list) => median(list.map((run) => run.seconds));
const megabytes = (list) => median(list.map((run) => run.bytes)) / 1e6;
const text = [`# Quantisation\n\n${machine()}\n`];

/** ImageNet-sized calibration data, and token ids. */
function writeData() {
  const script = [
    'import numpy as np,sys',
    'r=np.random.RandomState(0)',
    'np.savez(sys.argv[1],input=r.randn(64,3,224,224).astype(np.float32))',
    'ids=r.randint(0,30000,(64,128)).astype(np.int64)',
    'np.savez(sys.argv[2],input_ids=ids,attention_mask=np.ones_like(ids),token_type_ids=np.zeros_like(ids))',
  ].join('\n');
  spawnSync(python ?? 'python3', ['-c', script, at('images.npz'), at('ids.npz')]);
}

function timeTable() {
  writeData();
  const models = [
    ['resnet50', ['resnet50'], at('images.npz')],
    ['bert', ['bert', '--seq', '128'], at('ids.npz')],
    [
      'gpt',
      ['gpt', '--hidden', '768', '--layers', '12', '--heads', '12', '--vocab', '50257'],
      undefined,
    ],
  ];
  text.push(
    '\n## Time and memory of the whole command\n',
    `Median of ${ROUNDS} runs in turn, each from a cold process to a written file. xform's time includes its checks: the optimised graph and the result are run and timed beside the original (\`--no-bench\` leaves the timing out).\n`,
    '| model | mode | xform s | without timing s | Python s | ratio | without timing | xform MB | Python MB | ratio |',
    '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  );
  for (const [name, init, data] of models) {
    const model = at(`${name}.onnx`);
    spawnSync(process.execPath, [program, 'init', ...init, '-o', model, '--quiet']);
    const modes = [
      ['dynamic', ['--mode', 'dynamic'], ['dynamic', model, at('p.onnx')]],
      ['4 bits, RTN', ['--mode', 'weights', '--bits', '4'], ['nbits', model, at('p.onnx')]],
    ];
    if (data) {
      const flags = ['--mode', 'static', '--data', data, '--samples', '64'];
      modes.push(['static, 64 samples', flags, ['static', model, at('p.onnx'), data, '64']]);
    }
    for (const [mode, flags, peer] of modes) {
      text.push(`| ${name} | ${mode} | ${timeCells(model, flags, peer).join(' | ')} |`);
      process.stdout.write(`${text.at(-1)}\n`);
      speedRow(name, mode, model);
    }
  }
  text.push(
    '\n## Speed of the result\n',
    'Median run of float32 by that of the result, run in turn by `xform bench` at batch 1.\n',
    '| model | mode | float32 ms | xform | Python |',
    '| --- | --- | ---: | ---: | ---: |',
    ...speeds,
  );
}

/** Medians of all three, run in turn. */
function timeCells(model, flags, peer) {
  const [a, b, c] = [[], [], []];
  for (let i = 0; i < ROUNDS; i++) {
    a.push(ours(model, '-o', at('x.onnx'), ...flags));
    c.push(ours(model, '-o', at('x.onnx'), ...flags, '--no-bench'));
    const run = theirs(...peer);
    if (run) b.push(run);
  }
  const failed = [...a, ...b, ...c].find((run) => run.status !== 0);
  if (failed) process.stdout.write(`${flags.join(' ')}: ${failed.err}\n`);
  const beside = (figure) => (b.length > 0 ? figure() : '');
  return [
    seconds(a).toFixed(1),
    seconds(c).toFixed(1),
    beside(() => seconds(b).toFixed(1)),
    beside(() => (seconds(a) / seconds(b)).toFixed(2)),
    beside(() => (seconds(c) / seconds(b)).toFixed(2)),
    megabytes(a).toFixed(0),
    beside(() => megabytes(b).toFixed(0)),
    beside(() => (megabytes(a) / megabytes(b)).toFixed(2)),
  ];
}

const speeds = [];

function speedRow(name, mode, model) {
  const files = [
    model,
    at('x.onnx'),
    ...(python && existsSync(at('p.onnx')) ? [at('p.onnx')] : []),
  ];
  const sizes = name === 'bert' ? ['--set', 'seq=128'] : name === 'gpt' ? ['--set', 'seq=64'] : [];
  const { metrics } = xform('bench', ...files, ...sizes);
  const [float, mine, peer] = files.map((file) => metrics?.[file]?.latency_ms?.p50);
  const gain = (ms) => (ms ? `${(float / ms).toFixed(2)}x` : '');
  speeds.push(`| ${name} | ${mode} | ${float?.toFixed(1)} | ${gain(mine)} | ${gain(peer)} |`);
  process.stdout.write(`${speeds.at(-1)}\n`);
}

const GOLD = [
  'mnist_8',
  'mnist_cntk',
  'mnistfc_256x2',
  'cifar10_resnet_4b',
  'marabou_cifar_small',
  'mlperf_ic_resnet8',
  'vit_pgd_2_3_16',
  'squeezenet1.0_fp16',
  'magika_v3_3',
  'yolox_nano',
];

function accuracyTable() {
  const [first] = sharedModels();
  if (!python || !first) {
    process.stdout.write('skipped: accuracy needs .peers and ../shared\n');
    return;
  }
  const shared = join(first, '../..');
  const run = (script, ...args) =>
    spawnSync(python, [join(root, 'bench', script), ...args], { encoding: 'utf8' });
  run('gold_data.py', shared, at('gold'));
  const score = (path, name) =>
    existsSync(path)
      ? Number.parseFloat(run('gold_eval.py', shared, at('gold'), path, name).stdout)
      : undefined;
  const cell = (value) =>
    value === undefined || Number.isNaN(value) ? 'failed' : value.toFixed(4);
  text.push(
    '\n## Accuracy\n',
    'Top-1 on test images; AP50 for yolox_nano. Calibration on 256 samples (all there are where there are less), MinMax, per channel.\n',
    '| model | float | xform static | Python static | xform dynamic | Python dynamic | 4-bit weights | fp16 | static, --max-drop 0.01 |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  );
  for (const name of GOLD) {
    const model = join(shared, 'models', `${name}.onnx`);
    const calib = at(`gold/${name}.calib.npz`);
    const raw = ['--scale', '255'];
    const variants = [
      [
        's.onnx',
        () =>
          ours(
            model,
            '-o',
            at('s.onnx'),
            '--mode',
            'static',
            '--data',
            calib,
            ...raw,
            '--no-bench',
          ),
      ],
      ['ps.onnx', () => theirs('static', model, at('ps.onnx'), calib)],
      ['d.onnx', () => ours(model, '-o', at('d.onnx'), '--mode', 'dynamic', '--no-bench')],
      ['pd.onnx', () => theirs('dynamic', model, at('pd.onnx'))],
      ['w.onnx', () => ours(model, '-o', at('w.onnx'), '--mode', 'weights', '--no-bench')],
      ['h.onnx', () => ours(model, '-o', at('h.onnx'), '--mode', 'fp16', '--no-bench')],
      [
        'm.onnx',
        () =>
          ours(
            model,
            '-o',
            at('m.onnx'),
            '--mode',
            'static',
            '--data',
            calib,
            ...raw,
            '--max-drop',
            '0.01',
            '--no-bench',
          ),
      ],
    ];
    const cells = variants.map(([file, make]) => {
      rmSync(at(file), { force: true });
      const { status, err } = make();
      if (status !== 0) process.stdout.write(`${name} ${file}: exit ${status} ${err}\n`);
      return status === 0 || status === 4 ? cell(score(at(file), name)) : `exit ${status}`;
    });
    text.push(`| ${name} | ${cell(score(model, name))} | ${cells.join(' | ')} |`);
    process.stdout.write(`${text.at(-1)}\n`);
  }
}

if (wants('accuracy')) accuracyTable();
if (wants('time')) timeTable();
if (words.length === 0) {
  writeFileSync(join(root, 'bench/quantize.md'), `${text.join('\n')}\n`);
  process.stdout.write(
    `bench/quantize.md: ${statSync(join(root, 'bench/quantize.md')).size} bytes\n`,
  );
} else process.stdout.write(`${text.join('\n')}\n`);
