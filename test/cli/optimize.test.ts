// `optimize` as a user runs it: files, report, flags, exit codes.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeModel, encodeModel, readModel } from '../../src/onnx/index.ts';
import { xform } from '../helpers/cli.ts';
import { parseModel } from '../helpers/parse.ts';

const FULL = `<ir_version: 8, opset_import: ["" : 13]>
g (float[batch, 4] x) => (float[batch, 8] y)
<
  float[4, 8] w = random,
  float[8] b = random,
  float[8] unused = random
>
{
  c = Constant <value_float = 1.0> ()
  a = MatMul (x, w)
  s = Add (a, b)
  i = Identity (s)
  y = Mul (i, c)
}`;

const LEAN = `<ir_version: 8, opset_import: ["" : 13]>
g (float[batch, 4] x) => (float[batch, 8] y) <float[4, 8] w = random, float[8] b = random>
{ y = Gemm (x, w, b) }`;

let folder = '';
const at = (name: string) => join(folder, name);
const write = async (name: string, text: string) =>
  writeFileSync(at(name), await encodeModel(parseModel(text)));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'xform-optimize-'));
  await write('full.onnx', FULL);
  await write('lean.onnx', LEAN);
  const listed = FULL.replace('x) =>', 'x, float[4, 8] w, float[8] b, float[8] unused) =>');
  await write('listed.onnx', listed);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Report {
  readonly input: { readonly nodes: number };
  readonly output: { readonly nodes: number; readonly path: string; readonly opset: number };
  readonly metrics: { readonly checked: boolean; readonly settled: boolean };
  readonly steps: readonly { readonly pass: string; readonly nodes_before: number }[];
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
}

async function report(...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await xform(['optimize', ...args, '--json']);
  expect([code, stderr]).toEqual([0, expect.anything()]);
  return JSON.parse(stdout) as Report;
}

describe('xform optimize', () => {
  it('writes a smaller model beside the input and reports each step', async () => {
    const { input, output, metrics, steps, warnings } = await report(at('full.onnx'));
    expect([input.nodes, output.nodes]).toEqual([5, 1]);
    expect(output.path).toBe(at('full.optimized.onnx'));
    expect(metrics).toMatchObject({ checked: true, settled: true });
    expect(steps.map((step) => step.pass)).toEqual(
      expect.arrayContaining(['extract-constants', 'drop-identity', 'drop-dead', 'fuse-gemm']),
    );
    expect(warnings).toEqual([]);
    const written = readModel(output.path);
    expect([...written.graph.nodes].map((node) => node.op)).toEqual(['Gemm']);
    expect([...written.graph.initializers].map((value) => value.name)).toEqual(['w', 'b']);
  });

  it('writes the same bytes where there is nothing to do', async () => {
    const { stdout, code } = await xform(['optimize', at('lean.onnx')]);
    expect([code, stdout]).toEqual([0, expect.stringContaining('Nothing to do')]);
    expect(readFileSync(at('lean.optimized.onnx'))).toEqual(readFileSync(at('lean.onnx')));
  });

  it('applies only the passes that are named, without those that are skipped', async () => {
    const only = ['--passes', 'drop-identity,drop-dead', '-o', at('out.onnx')];
    const some = await report(at('full.onnx'), ...only);
    expect(new Set(some.steps.map((step) => step.pass))).toEqual(
      new Set(['drop-identity', 'drop-dead']),
    );
    const without = ['--skip-pass', 'fuse-gemm', '--no-check', '-o', at('out.onnx')];
    const rest = await report(at('full.onnx'), ...without);
    expect(rest.output.nodes).toBe(2);
    expect(rest.metrics.checked).toBe(false);
    const wrong = await xform(['optimize', at('full.onnx'), '--passes', 'drop-identitty']);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('"drop-identity"')]);
  });

  it('fixes dimensions, lifts the opset, reads and writes streams', async () => {
    const bytes = readFileSync(at('full.onnx'));
    const args = [
      'optimize',
      '-',
      '-o',
      '-',
      '--set',
      'batch=3',
      '--opset',
      '17',
      '--level',
      'all',
    ];
    const { code, bytes: out, stderr } = await xform(args, { input: bytes });
    expect([code, stderr]).toEqual([0, expect.stringContaining('standard output')]);
    const model = decodeModel(out);
    expect(model.opset).toBe(17);
    expect(model.graph.inputs[0]?.shape).toEqual([3, 4]);
  });

  it('says which weights cannot be fed any more', async () => {
    const { warnings } = await report(at('listed.onnx'));
    expect(warnings.map(({ code }) => code)).toEqual(['weights-fixed']);
    expect(warnings[0]?.message).toContain('"w", "b", "unused"');
    expect(readModel(at('listed.optimized.onnx')).graph.inputs.map((v) => v.name)).toEqual(['x']);
  });

  it('goes on without a check where the original does not run, and says so', async () => {
    await write('odd.onnx', FULL.replace('Identity', 'custom.domain.Odd'));
    const { warnings, metrics, output } = await report(at('odd.onnx'));
    expect(warnings.map(({ code }) => code)).toEqual(['not-checked']);
    expect([metrics.checked, output.nodes]).toEqual([false, 3]);
  });

  it('replaces the input when asked to, and leaves nothing else behind', async () => {
    await write('own.onnx', FULL);
    const before = readdirSync(folder);
    const { output } = await report(at('own.onnx'), '-o', at('own.onnx'));
    expect(output.nodes).toBe(1);
    expect(readdirSync(folder)).toEqual(before);
    expect(readModel(at('own.onnx')).graph.nodeCount).toBe(1);
  });
});
