// The main job on real input, images of handwritten digits from fixtures/: a transformer as PyTorch
// exported it is made small and checked; then the whole chain, from a teacher that is trained from
// nothing to what is left of it after pruning, distilling and quantising, judged side by side.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), 'xform-demo-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const fixture = (name) => join(root, 'fixtures', name);
const at = (name) => `${name}.onnx`;
const shown = (word) => (word.startsWith(root) ? relative(root, word) : word);

const say = (text) => process.stdout.write(`\n== ${text}\n`);

/** `line` is split at spaces; what follows is taken as it is. */
function xform(line, ...more) {
  const args = [...line.split(' '), ...more];
  process.stdout.write(`\n$ xform ${args.map(shown).join(' ')}\n`);
  const { status } = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], {
    stdio: 'inherit',
    cwd: folder,
  });
  if (status === 0) return;
  process.stdout.write(`xform ${args[0]} ended with exit code ${status}\n`);
  process.exit(1);
}

const test = fixture('digits-test.npz');
const data = ['--data', fixture('digits-train.npz'), '--val', test];

say('A transformer from PyTorch: fewer nodes, then fewer bits');
const transformer = fixture('digits-transformer.onnx');
xform('inspect', transformer);
xform('optimize --level extended', transformer, '-o', at('small'));
xform('verify', transformer, at('small'), '--data', test);
xform('quantize --mode weights --bits 4', transformer, '-o', at('int4'), ...data);
xform('bench --runs 200', transformer, at('small'), at('int4'));

say('A teacher, trained from nothing on 1,400 images');
xform('init cnn --in 1x8x8 --width 32 --hidden 128 --classes 10', '-o', at('untrained'));
xform('train --epochs 6 --lr 0.003', at('untrained'), ...data, '-o', at('teacher'));

say('Half of its channels, trained on');
xform('prune --amount 0.5 --batch 16', at('teacher'), ...data, '-o', at('half'));
xform('train --epochs 4 --lr 0.002', at('half'), ...data, '-o', at('pruned'));

say('A student of a tenth of its size that learns from it');
xform('init cnn --in 1x8x8 --width 8 --hidden 32 --classes 10', '-o', at('new'));
xform(
  'distill --epochs 8 --lr 0.01',
  at('new'),
  '--teacher',
  at('teacher'),
  ...data,
  '-o',
  at('student'),
);

say('The student in integers');
xform('quantize --mode static', at('student'), ...data, '-o', at('student.int8'));

say('All of them, side by side');
const all = ['teacher', 'pruned', 'student', 'student.int8'].map(at);
xform('eval', ...all, '--data', test);
xform('bench --runs 200', ...all);
