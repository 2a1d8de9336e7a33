// Translation from end to end with xform alone: a tokenizer and a small encoder-decoder transformer are
// trained on the captions of Multi30k (English to German), the validation part is translated greedily and
// with beams, and BLEU and chrF are held against sacreBLEU's on the text that was written. Writes
// bench/translate.md. A folder as argument keeps the model: a run that was stopped goes on there.
// Data: ../shared; peer: sacrebleu in .peers. Without either the bench says so and ends.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { machine, peersPython, root, xform } from './machine.mjs';

const data = join(process.env.XFORM_SHARED ?? join(root, '../shared'), 'data');
const python = peersPython();
const [train, val] = ['train', 'val'].map((part) => {
  return ['en', 'de'].map((language) => join(data, `multi30k_${part}.${language}.gz`));
});
if (!python || !existsSync(train[0])) {
  process.stdout.write('skipped: it needs .peers and ../shared\n');
  process.exit(0);
}
const [kept] = process.argv.slice(2);
const folder = kept ?? mkdtempSync(join(tmpdir(), 'xform-translate-'));
mkdirSync(folder, { recursive: true });
if (!kept) process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name) => join(folder, name);

const VOCABULARY = 3000;
const STEPS = 2000;
const SIZES = ['--hidden', '128', '--layers', '2', '--heads', '4', '--mlp-dim', '512'];
const SEQ = ['--seq', '28'];
const THREADS = ['--threads', '1'];

function run(...args) {
  const report = xform(...args);
  if (report.error) throw new Error(report.error.message);
  return report;
}

function trained() {
  const facts = at('facts.json');
  if (existsSync(facts)) return JSON.parse(readFileSync(facts, 'utf8'));
  const special = ['--special', '<pad>,<s>,</s>'];
  const vocabulary = ['--vocab', `${VOCABULARY}`];
  run('data', 'tokenizer', '--train', ...train, ...vocabulary, ...special, '-o', at('words.json'));
  const sizes = [...vocabulary, ...SIZES, ...SEQ, '--dropout', '0.1'];
  run('init', 'transformer', ...sizes, '-o', at('start.onnx'));
  const optimiser = ['--lr', '0.003', '--warmup', '300', '--beta2', '0.98', '--clip', '1'];
  const report = run(
    ...['train', at('start.onnx'), '--data', train.join(), '--tokenizer', at('words.json'), ...SEQ],
    ...['--batch', '64', '--steps', `${STEPS}`, '--label-smoothing', '0.1', ...optimiser],
    ...THREADS,
    ...['-o', at('model.onnx'), ...(existsSync(at('model.onnx.checkpoint')) ? ['--resume'] : [])],
  );
  if (report.metrics.steps < STEPS) throw new Error('training was stopped: start again to go on');
  const found = { parameters: report.output.parameters };
  writeFileSync(facts, JSON.stringify(found));
  return found;
}

const SCORES = `
import json, sys, sacrebleu
lines = lambda path: open(path, encoding="utf-8").read().split("\\n")[:-1]
found, wanted = lines(sys.argv[1]), lines(sys.argv[2])
bleu, chrf = sacrebleu.corpus_bleu(found, [wanted]), sacrebleu.corpus_chrf(found, [wanted])
print(json.dumps({"bleu": bleu.score, "chrf": chrf.score, "version": sacrebleu.__version__}))
`;

function sacrebleu(hypotheses, references) {
  const peer = spawnSync(python, ['-c', SCORES, hypotheses, references], { encoding: 'utf8' });
  if (peer.status !== 0) throw new Error(peer.stderr);
  return JSON.parse(peer.stdout);
}

const { parameters } = trained();
writeFileSync(at('val.de'), gunzipSync(readFileSync(val[1])));
const rows = [];
let version = '';
for (const beams of [1, 4]) {
  const hypotheses = at(`beams${beams}.de`);
  const { metrics } = run(
    ...['eval', at('model.onnx'), '--task', 'translate', '--data', val.join(), ...SEQ],
    ...['--tokenizer', at('words.json'), '--beams', `${beams}`, '--batch', '32', '--no-bench'],
    ...['--predictions', hypotheses],
  );
  const peer = sacrebleu(hypotheses, at('val.de'));
  version = peer.version;
  for (const name of ['bleu', 'chrf']) {
    const difference = Math.abs(metrics[name] - peer[name]);
    if (difference > 1e-9) throw new Error(`${name} is ${metrics[name]}, sacrebleu ${peer[name]}`);
  }
  const { low, high } = metrics.intervals.bleu;
  const bleu = `${metrics.bleu.toFixed(2)} (${low.toFixed(2)} … ${high.toFixed(2)})`;
  const way = beams === 1 ? 'greedy' : `${beams} beams`;
  const both = `${peer.bleu.toFixed(2)} | ${metrics.chrf.toFixed(2)} | ${peer.chrf.toFixed(2)}`;
  rows.push(`| ${way} | ${bleu} | ${both} |`);
  process.stdout.write(`${rows.at(-1)}\n`);
}

const english = gunzipSync(readFileSync(val[0])).toString('utf8').split('\n');
const [german, written] = ['val.de', 'beams4.de'].map((name) => {
  return readFileSync(at(name), 'utf8').split('\n');
});
process.stdout.write(
  [0, 1, 2].map((i) => `${english[i]} = ${written[i]} (${german[i]})\n`).join(''),
);
writeFileSync(
  join(root, 'bench/translate.md'),
  `# Translation from end to end

${machine()}

An encoder-decoder transformer (${(parameters / 1e6).toFixed(2)} M parameters, 2 + 2 layers of 128, ${VOCABULARY} tokens of byte-level BPE) learns English
to German from the 29,000 captions of Multi30k: ${STEPS} steps of 64 sentences. The 1,014 sentences of the validation
part are translated by \`xform eval --task translate\`; sacreBLEU ${version} scores the lines that were written,
and finds the same to nine digits, or this bench fails.

| search | BLEU (95 %) | sacreBLEU | chrF | sacreBLEU |
| --- | ---: | ---: | ---: | ---: |
${rows.join('\n')}
`,
);
