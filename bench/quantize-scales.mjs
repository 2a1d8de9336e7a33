// Scales and zero points of minmax calibration beside those of onnxruntime's Python tool, on the same
// samples: how many of xform's are among the tool's, to one unit in the last place. Writes
// bench/quantize-scales.md. Without .peers or ../shared it is skipped with a line.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, peersPython, program, root, sharedModels } from './machine.mjs';

const python = peersPython();
const [first] = sharedModels();
if (!python || !first) {
  process.stdout.write('skipped: scales need .peers and ../shared\n');
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), 'xform-scales-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);
const shared = join(first, '../..');
const run = (...args) => spawnSync(python, args, { encoding: 'utf8' });
const xform = (...args) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });

run(join(root, 'bench/gold_data.py'), shared, at('gold'));
const MODELS = [
  ...['mnist_8', 'mnist_cntk', 'mnistfc_256x2', 'cifar10_resnet_4b', 'marabou_cifar_small'],
  ...['mlperf_ic_resnet8', 'vit_pgd_2_3_16', 'magika_v3_3', 'yolox_nano'],
].map((name) => [name, join(shared, 'models', `${name}.onnx`), at(`gold/${name}.calib.npz`)]);
xform('init', 'resnet18', '--in', '3x64x64', '-o', at('resnet18.onnx'), '--quiet');
run(
  '-c',
  'import numpy as np,sys;np.savez(sys.argv[1],input=np.random.RandomState(0).randn(8,3,64,64).astype(np.float32))',
  at('noise.npz'),
);
MODELS.push(['init resnet18', at('resnet18.onnx'), at('noise.npz')]);

const SAMPLES = '8';
const FLAGS = ['--scale', '255', '--limit', SAMPLES, '--no-optimize', '--no-bench', '--no-check'];
const rows = MODELS.map(([name, model, data]) => {
  run(
    '-c',
    'import numpy as np,sys;d=np.load(sys.argv[1]);np.savez(sys.argv[2],**{k:d[k][:int(sys.argv[3])] for k in d})',
    data,
    at('few.npz'),
    SAMPLES,
  );
  const flags = ['--mode', 'static', '--data', data, ...FLAGS, '--no-keep-faster', '--quiet'];
  xform('quantize', model, '-o', at('ours.onnx'), ...flags);
  const { stdout } = run(
    join(root, 'bench/quantize_scales.py'),
    model,
    at('few.npz'),
    at('ours.onnx'),
  );
  const found = JSON.parse(stdout.trim().split('\n').at(-1));
  const row = `| ${name} | ${found.compared} | ${found.equal} | ${found.others.join(', ')} |`;
  process.stdout.write(`${row}\n`);
  return row;
});
writeFileSync(
  join(root, 'bench/quantize-scales.md'),
  `# Scales beside the incumbent's

${machine()}

Static, uint8 activations, int8 weights per channel, MinMax over ${SAMPLES} samples: how many of xform's scales with their zero points are among those of onnxruntime's tool, to one unit in the last place. Others are where a pool or a reshape takes over the scale of what it reads.

| model | scales | equal | others |
| --- | ---: | ---: | --- |
${rows.join('\n')}
`,
);
