// Runs everything that decides: formatter and linter, types, tests. Ends with a line
// `N passed, N failed` computed from the run.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
const results = join(folder, 'jest.json');

function passes(title, file, args) {
  process.stdout.write(`== ${title}\n`);
  const { status } = spawnSync(process.execPath, [...file, ...args], { stdio: 'inherit' });
  return status === 0;
}

const checks = [
  passes('format and lint', ['node_modules/@biomejs/biome/bin/biome'], ['check', '.']),
  passes('types', ['node_modules/typescript/bin/tsc'], ['--noEmit']),
];
const jestPassed = passes(
  'tests',
  ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'],
  ['--json', `--outputFile=${results}`, ...process.argv.slice(2)],
);

let passed = checks.filter(Boolean).length;
let failed = checks.length - passed;
try {
  const jest = JSON.parse(readFileSync(results, 'utf8'));
  passed += jest.numPassedTests;
  // A suite that could not even start counts as one failure; so does a runner that broke off.
  failed += jest.numFailedTests + jest.numRuntimeErrorTestSuites;
} catch {
  failed += 1;
}
if (!jestPassed && failed === 0) failed = 1;
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
