// What every command promises: exit codes, one JSON document, errors in one block, quiet streams.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-cli-'));
const digits = 'fixtures/digits.onnx';
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('usage', () => {
  it('names xform, Node, onnxruntime and the platform', async () => {
    const { stdout, code } = await xform(['--version']);
    expect(stdout).toMatch(
      /^xform \d+\.\d+\.\d+ node 2\d\.\d+\.\d+ onnxruntime 1\.30\.0 \w+-\w+\n$/,
    );
    expect(code).toBe(0);
  });

  it('suggests the nearest command and exits with 2', async () => {
    const { code, stderr, stdout } = await xform(['optimise', digits]);
    expect(code).toBe(2);
    expect(stderr).toContain('there is no command "optimise"');
    expect(stderr).toContain('Did you mean "optimize"?');
    expect(stdout).toBe('');
  });

  it('exits with 2 for an unknown flag and for a missing model, with --json too', async () => {
    const flag = await xform(['inspect', digits, '--layerz']);
    expect(flag.code).toBe(2);
    expect(flag.stderr).toMatch(/^error: .*--layerz/);
    const missing = await xform(['inspect', '--json']);
    expect(missing.code).toBe(2);
    expect(JSON.parse(missing.stdout).error.code).toBe('usage');
    expect(missing.stderr).toMatch(/^error: /);
    expect(missing.stderr).not.toContain('    at ');
  });

  it('refuses a report of unknown kind before doing anything', async () => {
    const { code, stderr } = await xform(['inspect', digits, '--report', join(folder, 'r.pdf')]);
    expect(code).toBe(2);
    expect(stderr).toContain('.json, .md or .html');
  });

  it('lists every command in help', async () => {
    const { stdout, code } = await xform(['--help']);
    expect(code).toBe(0);
    for (const command of ['bench', 'doctor', 'init', 'inspect', 'optimize', 'verify']) {
      expect(stdout).toMatch(new RegExp(`^  ${command} +\\w`, 'm'));
    }
  });
});

describe('the report', () => {
  it('is one JSON document with the fields of the contract', async () => {
    const { stdout, stderr, code } = await xform(['inspect', digits, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(Object.keys(report)).toEqual(
      expect.arrayContaining([
        'command',
        'version',
        'input',
        'options',
        'metrics',
        'steps',
        'warnings',
        'seconds',
      ]),
    );
    expect(report.command).toBe('inspect');
    expect(report.input).toMatchObject({ path: digits, nodes: 22, opset: 13 });
    expect(report.input.bytes).toBe(readFileSync(digits).length);
    expect(stderr).toBe('');
  });

  it('is written to a file by extension', async () => {
    for (const [name, start] of [
      ['r.json', '{'],
      ['r.md', '# xform inspect'],
      ['r.html', '<!doctype html>'],
    ] as const) {
      const path = join(folder, name);
      const { code } = await xform(['inspect', digits, '--quiet', '--report', path]);
      expect(code).toBe(0);
      expect(readFileSync(path, 'utf8').startsWith(start)).toBe(true);
    }
  });

  it('says nothing with --quiet', async () => {
    const { stdout, stderr } = await xform(['inspect', digits, '--quiet']);
    expect(stdout + stderr).toBe('');
  });
});

describe('standard streams', () => {
  it('take a model on standard input', async () => {
    const { stdout, code } = await xform(['inspect', '-', '--json'], {
      input: readFileSync(digits),
    });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).metrics.nodes).toBe(22);
  });

  it('carry the model, and only the model, with -o -', async () => {
    const { bytes, code } = await xform(['optimize', digits, '-o', '-']);
    expect(code).toBe(0);
    const again = await xform(['inspect', '-', '--json'], { input: bytes });
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout).metrics.nodes).toBeLessThan(22);
  });
});
