// What gradients in few bits (`train --grad-bits`) do to convergence: digits, the same networks and
// orders of samples with gradients of 32, 8 and 4 bits, three seeds. Writes bench/grad-bits.md.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machine, root, xform } from './machine.mjs';

const SEEDS = ['0', '1', '2'];
const BITS = [32, 8, 4];
const NETWORKS = [
  { name: 'mlp', init: ['mlp', '--hidden', '32'], epochs: '10', rate: '0.005' },
  { name: 'cnn', init: ['cnn'], epochs: '4', rate: '0.002' },
];
/** And how much larger their rates are. */
const OPTIMIZERS = { adamw: 1, sgd: 4 };

const folder = mkdtempSync(join(tmpdir(), 'xform-grad-bits-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const fixture = (name) => join(root, 'fixtures', name);
const data = ['--data', fixture('digits-train.npz'), '--val', fixture('digits-test.npz')];

/** Validation at the end of a run. */
function trained({ init, epochs, rate }, optimizer, bits, seed) {
  const [model, out] = ['model.onnx', 'out.onnx'].map((name) => join(folder, name));
  xform('init', ...init, '--in', '1x8x8', '--classes', '10', '--seed', seed, '-o', model);
  const few = bits === 32 ? [] : ['--grad-bits', `${bits}`];
  const lr = `${rate * OPTIMIZERS[optimizer]}`;
  const flags = ['--epochs', epochs, '--optimizer', optimizer, '--lr', lr, '--seed', seed];
  const { metrics, error } = xform('train', model, ...data, ...flags, ...few, '-o', out);
  if (error) throw new Error(error.message);
  return metrics.validation;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const rows = [];
for (const network of NETWORKS) {
  for (const optimizer of Object.keys(OPTIMIZERS)) {
    for (const bits of BITS) {
      const found = SEEDS.map((seed) => trained(network, optimizer, bits, seed));
      const losses = found.map(({ loss }) => loss);
      const accuracies = found.map(({ accuracy }) => (100 * accuracy).toFixed(1));
      const cells = [network.name, optimizer, bits, mean(losses).toFixed(3)];
      rows.push(`| ${[...cells, accuracies.join(', ')].join(' | ')} |`);
      process.stdout.write(`${rows.at(-1)}\n`);
    }
  }
}

const text = `# Gradients in few bits

${machine()}

\`train --grad-bits\` rounds gradients stochastically and adds what is lost to the next ones. Digits, the
same weights at the start and the same order of samples for 32, 8 and 4 bits; figures are of the test set
after the last epoch (mlp 10 epochs, cnn 4).

| network | optimiser | bits | mean loss | accuracy by seed, % |
| --- | --- | ---: | ---: | --- |
${rows.join('\n')}
`;
writeFileSync(join(root, 'bench/grad-bits.md'), text);
