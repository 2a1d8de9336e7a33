// The set of files for transformers.js, made of untrained models of known architectures: size,
// similarity to float, and time in onnxruntime-node, in WebAssembly in Node and in Chromium.
// Writes bench/transformersjs.md.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, root, xform } from './machine.mjs';

const SIZES = ['--hidden', '256', '--layers', '4', '--heads', '4', '--mlp-dim', '1024'];
const MODELS = [
  { name: 'bert', args: [...SIZES, '--vocab', '8192', '--head', 'mlm'] },
  { name: 'gpt', args: [...SIZES, '--vocab', '8192', '--seq', '256'] },
  { name: 'vit', args: [...SIZES, '--in', '3x224x224', '--patch', '16'] },
];
const RUNTIMES = ['onnxruntime-node', 'wasm (node)', 'wasm (chromium)', 'webgpu (chromium)'];

const sections = [];
const loads = [];
for (const { name, args } of MODELS) {
  const folder = mkdtempSync(join(tmpdir(), 'xform-bench-'));
  const model = join(folder, 'model.onnx');
  xform('init', name, '-o', model, ...args);
  const report = xform('quantize', model, '--preset', 'transformersjs', '-o', folder);
  loads.push(loadavg()[0]);
  rmSync(folder, { recursive: true, force: true });
  if (report.error && !report.metrics) {
    process.stdout.write(`${name}: ${report.error.message}\n`);
    process.exitCode = 1;
    continue;
  }
  sections.push(section(name, args, report));
  process.stdout.write(`${name}: ${report.seconds.toFixed(0)} s\n`);
}

function section(name, args, { metrics, seconds, steps }) {
  const files = Object.entries(metrics);
  const ran = RUNTIMES.filter((runtime) =>
    files.some(([, file]) => file.runtimes.some((r) => r.runtime === runtime && r.latency_ms)),
  );
  const float = files.find(([, file]) => file.dtype === 'fp32')?.[1];
  const header = ['file', 'MB', 'of float', 'cosine', 'max error', 'same top 1', ...ran];
  const rows = files.map(([file, found]) => {
    if (!found.written) return [file, `not written: ${found.reason}`];
    const tried = found.runtimes.filter(({ status }) => status === 'ok');
    const top1 = tried.map((one) => one.top1_agreement).filter((share) => share !== undefined);
    return [
      file,
      (found.bytes / 1e6).toFixed(1),
      (found.bytes / float.bytes).toFixed(3),
      Math.min(...tried.map(({ cosine }) => cosine)).toFixed(5),
      Math.max(...tried.map((one) => one.max_abs_error)).toPrecision(2),
      top1.length > 0 ? `${(100 * Math.min(...top1)).toFixed(1)} %` : '–',
      ...ran.map((runtime) => time(found.runtimes.find((one) => one.runtime === runtime))),
    ];
  });
  const lines = [
    `## ${name} (\`xform init ${name} ${args.join(' ')}\`)`,
    '',
    `| ${header.join(' | ')} |`,
    `| --- |${' ---: |'.repeat(header.length - 1)}`,
    ...rows.map((row) => `| ${row.map((cell) => String(cell).replaceAll('|', '/')).join(' | ')} |`),
    '',
    `The whole command took ${seconds.toFixed(0)} s.`,
    ...steps.map(({ runtime, reason }) => `Not tried in ${runtime}: ${reason}.`),
  ];
  return lines.join('\n');
}

function time(trial) {
  if (!trial) return '–';
  if (trial.status === 'failed') return `fails: ${trial.reason}`;
  const { p50, p50_float: float } = trial.latency_ms ?? {};
  if (p50 === undefined || p50 === null) return '–';
  const ratio = float ? ` (${(float / p50).toFixed(2)}x)` : '';
  return `${p50.toPrecision(3)} ms${ratio}`;
}

/** Ratios of runs in turn hold on a machine that has a core to spare, and not on one that has none. */
function trust() {
  const load = Math.max(...loads);
  const said = `Load average during the runs: up to ${load.toFixed(0)} on ${cpus().length} cores`;
  if (load <= cpus().length) return `${said}.`;
  return `**${said}: other programs took the processor, so neither times nor speed-ups of this table are
evidence** (in bert, \`model_quantized\` and \`model_int8\` are the same file). Sizes and similarities are.`;
}

const head = `# The set of files for transformers.js

Similarity is to the float model in onnxruntime-node, the worst over all runtimes; the inputs are
seeded noise, the weights untrained (top-1 over near-equal scores is harsh). Times are medians; in
brackets the speed-up over the float model, which ran in turn with the file. Web runtimes have one
thread, onnxruntime-node its default. ${machine()}

${trust()}
`;
writeFileSync(join(root, 'bench/transformersjs.md'), `${head}\n${sections.join('\n\n')}\n`);
