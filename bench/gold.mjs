// The figures known for the models of ../shared, each from one command line on the files of ../shared/data as
// they come out of their archives. Writes bench/gold.md. Beside them, where .peers is there, what PIL,
// onnxruntime and pycocotools say (gold_peer.py). Words select models. Without ../shared it is skipped with a line.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, peersPython, program, root, sharedModels } from './machine.mjs';

const [first] = sharedModels();
if (!first) {
  process.stdout.write('skipped: known figures need ../shared\n');
  process.exit(0);
}
const shared = join(first, '../..');
const folder = mkdtempSync(join(tmpdir(), 'xform-gold-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
symlinkSync(join(shared, 'models'), join(folder, 'models'));
symlinkSync(join(root, 'bench/classes'), join(folder, 'classes'));

const ARCHIVES = [
  'cifar10_test.tar.gz',
  'imagenet_sample40.tar',
  'coco96_val.tar',
  'magika_tests_basic.tar.gz',
];
for (const archive of ARCHIVES) {
  const name = archive.split('.')[0];
  mkdirSync(join(folder, name));
  spawnSync('tar', ['xf', join(shared, 'data', archive), '-C', join(folder, name)]);
}
for (const part of ['images-idx3', 'labels-idx1']) {
  const name = `mnist-${part}-ubyte.gz`;
  symlinkSync(join(shared, 'data', name), join(folder, name));
}

const MNIST = '--data mnist-images-idx3-ubyte.gz --limit 1000';
const CIFAR = '--data cifar10_test/test --limit-per-class 50';
const CIFAR_MEAN = '0.4914,0.4822,0.4465';
const YOLOX =
  'coco96_val/annotations/instances_val2017.json --images coco96_val/val2017 --skip-bad';
const RUNS = [
  ['mnist_8', `${MNIST} --scale 255`, { accuracy: 0.987 }],
  ['mnist_cntk', `${MNIST} --scale 255`, { accuracy: 0.987 }],
  ['mnistfc_256x2', MNIST, { accuracy: 0.978 }],
  [
    'cifar10_resnet_4b',
    `${CIFAR} --normalize mean=${CIFAR_MEAN},std=0.2470,0.2435,0.2616`,
    { accuracy: 0.768 },
  ],
  [
    'vit_pgd_2_3_16',
    `${CIFAR} --normalize mean=${CIFAR_MEAN},std=0.2023,0.1994,0.2010`,
    { accuracy: 0.596 },
  ],
  ['marabou_cifar_small', CIFAR, { accuracy: 0.574 }],
  ['mlperf_ic_resnet8', `${CIFAR} --scale 255`, { accuracy: 0.736 }],
  [
    'squeezenet1.0_fp16',
    "--data imagenet_sample40 --label-pattern '^(n[0-9]+)_' --classes imagenet --resize 256 --resample nearest-floor --crop 224 --channels bgr --scale 255 --normalize mean=103.939,116.779,123.68",
    { accuracy: 0.8, top5: 0.9 },
  ],
  [
    'magika_v3_3',
    '--data magika_tests_basic/tests_data/basic --classes classes/magika-v3.3.txt --bytes head=1024,tail=1024,pad=256,strip,block=4096,min=8 --skip-bad',
    { accuracy: 1 },
  ],
  ['yolox_nano', `--data ${YOLOX} --channels bgr --scale 255`, { ap50: 0.523 }],
];

const words = process.argv.slice(2);
const python = peersPython();
const peer = python
  ? JSON.parse(
      spawnSync(python, [join(root, 'bench/gold_peer.py'), folder], { encoding: 'utf8' }).stdout,
    )
  : {};
const rows = [];
const commands = [];
for (const [name, flags, gold] of RUNS) {
  if (words.length > 0 && !words.includes(name)) continue;
  const command = `xform eval models/${name}.onnx ${flags}`;
  const run = spawnSync(
    'sh',
    [
      '-c',
      `exec "$0" "$1" ${command.replace(/^xform /, '')} --no-bench --json`,
      process.execPath,
      program,
    ],
    {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    },
  );
  const { metrics = {}, error } = JSON.parse(run.stdout);
  for (const [metric, value] of Object.entries(gold)) {
    const found = metrics[metric]?.toFixed(3) ?? error?.code;
    const other = peer[name]?.[metric];
    rows.push(
      `| ${name} | ${metrics.samples ?? ''} | ${metric} | ${value} | ${found} | ${other === undefined ? '' : other.toFixed(3)} |`,
    );
    process.stdout.write(`${rows.at(-1)}\n`);
  }
  commands.push(command);
}
const text = `# Known figures, from the command line

${machine()}

What is known of models (\`gold\` in the manifest of ../shared/models), and what one command says on the same data.
Beside it, Pillow, onnxruntime and pycocotools in Python.

| model | samples | metric | known | xform | Python |
| --- | ---: | --- | ---: | ---: | ---: |
${rows.join('\n')}

The known figures on CIFAR-10 are those of a JPEG decoder that repeats the samples of halved colour planes (jpeg-js):
with it all four are met to the sample. xform decodes as libjpeg-turbo does, and Pillow with it: between samples,
colours are interpolated. The known AP50 is of 96 images, of which 48 are here;
here and there images are scaled by filters that differ by up to three levels of 255.

\`\`\`sh
${commands.join('\n')}
\`\`\`

In a folder where \`models\` is ../shared/models, the archives of ../shared/data are unpacked, each in a folder of its
own name, and \`classes\` is bench/classes.
`;
if (words.length === 0) writeFileSync(join(root, 'bench/gold.md'), text);
