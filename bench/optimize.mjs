// Node counts and run times of optimised models: xform, ORT's own basic level, onnxslim, onnxsim.
// Writes bench/optimize.md. Models: ../shared/models where it is there, else the fixtures.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { machine, median, peersPython, root, sharedModels, xform } from './machine.mjs';

const fixtures = readdirSync(join(root, 'fixtures'))
  .filter((file) => file.endsWith('.onnx'))
  .map((file) => join(root, 'fixtures', file));
const wanted = process.argv.slice(2);
const models = [...fixtures, ...sharedModels()].filter(
  (path) => wanted.length === 0 || wanted.some((word) => path.includes(word)),
);
const python = peersPython();
if (!python) process.stdout.write('skipped: onnxslim and onnxsim, there is no .peers\n');

function peers(model, folder) {
  if (!python) return new Map();
  const run = spawnSync(python, [join(root, 'bench/peers.py'), model, folder], {
    encoding: 'utf8',
    timeout: 300_000,
  });
  const lines = run.stdout.split('\n').filter((line) => line.startsWith('{'));
  return new Map(lines.map((line) => JSON.parse(line)).map((result) => [result.peer, result]));
}

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
  if (report.error) {
    rows.push({ model, failed: report.error.message.split('\n')[0] });
    rmSync(folder, { recursive: true, force: true });
    continue;
  }
  spawnSync(process.execPath, [join(root, 'bench/ort-basic.mjs'), model, at('ort.onnx')]);
  const ortNodes = existsSync(at('ort.onnx'))
    ? xform('inspect', at('ort.onnx')).metrics?.nodes
    : undefined;
  const peer = peers(model, folder);
  const variants = [
    model,
    at('xform.onnx'),
    at('ort.onnx'),
    at('onnxslim.onnx'),
    at('onnxsim.onnx'),
  ];
  const there = variants.filter((path) => existsSync(path));
  const measured = times(there);
  const ms = variants.map((path) => measured?.[there.indexOf(path)]);
  rows.push({
    model,
    before: report.input.nodes,
    xform: report.output.nodes,
    ort: ortNodes,
    onnxslim: peer.get('onnxslim')?.nodes,
    onnxsim: peer.get('onnxsim')?.nodes,
    undone: report.warnings.filter((w) => w.code === 'pass-undone').length,
    ms,
  });
  process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
  rmSync(folder, { recursive: true, force: true });
}

const show = (value) => (value === undefined ? '–' : String(value));
const ratio = (a, b) => (a && b ? (a / b).toFixed(2) : '–');
const lines = rows.map((row) =>
  row.failed
    ? `| ${basename(row.model)} | ${row.failed.replaceAll('|', '/')} | | | | | | | |`
    : `| ${basename(row.model)} | ${row.before} | ${row.xform} | ${show(row.ort)} | ${show(row.onnxslim)} | ${show(row.onnxsim)} | ${ratio(row.ms[1], row.ms[0])} | ${ratio(row.ms[1], row.ms[2])} | ${ratio(row.ms[1], row.ms[3])} |`,
);
const done = rows.filter((row) => !row.failed);
const against = (key) => {
  const both = done.filter((row) => row[key] !== undefined);
  const fewer = both.filter((row) => row.xform < row[key]).length;
  const more = both.filter((row) => row.xform > row[key]);
  return `- against ${key}: fewer nodes on ${fewer} of ${both.length} models, equal on ${both.length - fewer - more.length}, more on ${more.length}${more.length ? ` (${more.map((row) => basename(row.model)).join(', ')})` : ''}`;
};
const ratios = done.map((row) => row.ms[1] / row.ms[0]).filter((r) => r > 0);

writeFileSync(
  join(root, 'bench/optimize.md'),
  `# optimize: node counts and run times

Nodes are counted in all graphs. ORT's \`basic\` level is what onnxruntime-node 1.30 writes; a dash: that
tool gave no model. The last columns are ratios of median run times (40 interleaved runs, CPU, default
session options), xform's result first. ${machine()}

${against('before')}
${against('ort')}
${against('onnxslim')}
${against('onnxsim')}
- median of run times after / before: ${ratios.length ? median(ratios).toFixed(2) : '–'}
- passes undone because a check failed: ${done.reduce((sum, row) => sum + row.undone, 0)}

| model | before | xform | ORT basic | onnxslim | onnxsim | time / before | time / ORT basic | time / onnxslim |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
${lines.join('\n')}

Regenerate: \`make bench\` or \`node bench/optimize.mjs\`.
`,
);
