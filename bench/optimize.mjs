// Node counts and run times of optimised models: xform (basic and extended), ORT's own basic level,
// onnxslim, onnxsim. Times are measured for some
// models of every kind, or for all with `--times`; other words select models by name.
// Writes bench/optimize.md. Models: ../shared/models where it is there, else the fixtures.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { machine, median, peersPython, root, sharedModels, xform } from './machine.mjs';

const fixtures = readdirSync(join(root, 'fixtures'))
  .filter((file) => file.endsWith('.onnx'))
  .map((file) => join(root, 'fixtures', file));
const wanted = process.argv.slice(2).filter((word) => word !== '--times');
const TIMED =
  /digits|vit_pgd|ppocr|ultraface_rfb|silero_vad_v6|multihead|blazeface|yolox|gtcrn|squeezenet1|magika|super_resolution|cct2|fastestdet/;
const timed = (model) => process.argv.includes('--times') || TIMED.test(model);
const models = [...fixtures, ...sharedModels()].filter(
  (path) => wanted.length === 0 || wanted.some((word) => path.includes(word)),
);
const python = peersPython();
if (!python) process.stdout.write('skipped: onnxslim and onnxsim, there is no .peers\n');

const peerFolder = mkdtempSync(join(tmpdir(), 'xform-peers-'));
process.once('exit', () => rmSync(peerFolder, { recursive: true, force: true }));

/** Node counts and files of every model by peer, made in one go. */
function runPeers() {
  if (!python) return [];
  const args = [join(root, 'bench/peers.py'), peerFolder, ...models];
  const { stdout } = spawnSync(python, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{"model"'))
    .map((line) => JSON.parse(line));
}

const peerResults = runPeers();
const peerOf = (model, peer) => peerResults.find((r) => r.model === model && r.peer === peer);

/** Run times of the variants that load, interleaved by `bench`. */
function times(paths) {
  const report = xform('bench', ...paths, '--runs', '40', '--provider', 'cpu');
  if (report.error) return undefined;
  const metrics = paths.length === 1 ? { [paths[0]]: report.metrics } : report.metrics;
  return paths.map((path) => metrics[path]?.latency_ms?.p50);
}

const rows = [];
for (const model of models) {
  const folder = mkdtempSync(join(tmpdir(), 'xform-bench-'));
  const at = (name) => join(folder, name);
  const report = xform('optimize', model, '-o', at('xform.onnx'));
  const extended = xform('optimize', model, '-o', at('extended.onnx'), '--level', 'extended');
  if (report.error) {
    rows.push({ model, failed: report.error.message.split('\n')[0] });
    rmSync(folder, { recursive: true, force: true });
    continue;
  }
  spawnSync(process.execPath, [join(root, 'bench/ort-basic.mjs'), model, at('ort.onnx')]);
  const ortNodes = existsSync(at('ort.onnx'))
    ? xform('inspect', at('ort.onnx')).metrics?.nodes
    : undefined;
  const [slim, sim] = ['onnxslim', 'onnxsim'].map((peer) => peerOf(model, peer));
  const variants = [
    model,
    at('xform.onnx'),
    at('extended.onnx'),
    at('ort.onnx'),
    slim?.path ?? '',
    sim?.path ?? '',
  ];
  const there = variants.filter((path) => existsSync(path));
  const measured = timed(model) ? times(there) : undefined;
  const ms = variants.map((path) => measured?.[there.indexOf(path)]);
  rows.push({
    model,
    before: report.input.nodes,
    xform: report.output.nodes,
    extended: extended.output?.nodes,
    ort: ortNodes,
    onnxslim: slim?.nodes,
    onnxsim: sim?.nodes,
    undone: [report, extended]
      .flatMap((r) => r.warnings ?? [])
      .filter((w) => w.code === 'pass-undone').length,
    ms,
  });
  process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
  rmSync(folder, { recursive: true, force: true });
}

const show = (value) => (value === undefined ? '–' : String(value));
const ratio = (a, b) => (a && b ? (a / b).toFixed(2) : '–');
const lines = rows.map((row) => {
  const name = basename(row.model);
  if (row.failed) return `| ${name} | ${row.failed.replaceAll('|', '/')} | | | | | | | | |`;
  const nodes = [row.before, row.xform, row.extended, row.ort, row.onnxslim, row.onnxsim].map(show);
  const [before, basic, extended, ort, slim] = row.ms;
  const times = [
    ratio(basic, before),
    ratio(extended, before),
    ratio(basic, ort),
    ratio(basic, slim),
  ];
  return `| ${[name, ...nodes, ...times].join(' | ')} |`;
});
const done = rows.filter((row) => !row.failed);
const against = (ours, theirs, title) => {
  const both = done.filter((row) => row[theirs] !== undefined && row[ours] !== undefined);
  const fewer = both.filter((row) => row[ours] < row[theirs]).length;
  const more = both.filter((row) => row[ours] > row[theirs]);
  const names = more.map((row) => basename(row.model)).join(', ');
  return `- ${title}: fewer nodes on ${fewer} of ${both.length} models, as many on ${both.length - fewer - more.length}, more on ${more.length}${names ? ` (${names})` : ''}`;
};
const middle = (list) => (list.length ? median(list).toFixed(2) : '–');
const speed = (i, j) => middle(done.map((row) => row.ms[i] / row.ms[j]).filter((r) => r > 0));

writeFileSync(
  join(root, 'bench/optimize.md'),
  `# optimize: node counts and run times

Nodes are counted in all graphs. ORT's \`basic\` level is what onnxruntime-node 1.30 writes; a dash: that
tool gave no model, or it does not run. onnxsim makes operators of com.microsoft, so it is
held against \`--level extended\`; the others stay with standard operators, as \`basic\` does. The last
columns are ratios of median run times (40 interleaved runs, CPU, default session options).
${machine()}

${against('xform', 'before', 'basic against the original')}
${against('xform', 'ort', "basic against ORT's basic")}
${against('xform', 'onnxslim', 'basic against onnxslim')}
${against('extended', 'onnxsim', 'extended against onnxsim')}
- median of run times: basic / original ${speed(1, 0)}, extended / original ${speed(2, 0)}, basic / ORT basic ${speed(1, 3)}, basic / onnxslim ${speed(1, 4)}, extended / onnxsim ${speed(2, 5)}
- passes undone because a check failed: ${done.reduce((sum, row) => sum + row.undone, 0)}

The light_* models make their weights with ConstantOfShape. The peers store the results, about 100 MB
for light_resnet50; xform folds only what does not make the file bigger than what it replaces.

| model | before | basic | extended | ORT basic | onnxslim | onnxsim | basic / before | extended / before | basic / ORT basic | basic / onnxslim |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
${lines.join('\n')}

Regenerate: \`make bench\` or \`node bench/optimize.mjs\`.
`,
);
