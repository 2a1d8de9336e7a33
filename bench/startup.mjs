// Start-up: help of xform against a bare Node, interleaved. Writes bench/startup.md.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { machine, median, program, root } from './machine.mjs';

const ROUNDS = 25;
const CASES = [
  ['node -e 0', ['-e', '0']],
  ['xform --version', [program, '--version']],
  ['xform --help', [program, '--help']],
  ['xform optimize --help', [program, 'optimize', '--help']],
  ['xform inspect fixtures/digits.onnx', [program, 'inspect', join(root, 'fixtures/digits.onnx')]],
];

const times = new Map(CASES.map(([name]) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, args] of CASES) {
    const start = performance.now();
    const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
    if (status !== 0) throw new Error(`${name} ended with ${status}`);
    times.get(name).push(performance.now() - start);
  }
}

const base = times.get('node -e 0');
const rows = CASES.map(([name]) => {
  const mine = times.get(name);
  const ratio = median(mine.map((t, i) => t / base[i]));
  return `| ${name} | ${median(mine).toFixed(0)} | ${Math.min(...mine).toFixed(0)} | ${ratio.toFixed(2)} |`;
});

writeFileSync(
  join(root, 'bench/startup.md'),
  `# Start-up

${ROUNDS} rounds, each case once a round. The ratio is the median of the rounds' ratios to \`node -e 0\`.
${machine()}

| command | median ms | best ms | ratio |
| --- | ---: | ---: | ---: |
${rows.join('\n')}

Regenerate: \`make bench\` or \`node bench/startup.mjs\`.
`,
);
process.stdout.write(`${rows.join('\n')}\n`);
