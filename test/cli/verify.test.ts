// `xform verify` as a user runs it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Builder, Graph, Model, symbol, tensorType } from '../../src/graph/index.ts';
import { encodeModel } from '../../src/onnx/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-verify-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

/** y = |x w| + b, x [n, 2]. */
async function save(name: string, bias: number, prefix = ''): Promise<string> {
  const graph = new Graph('abs');
  const g = new Builder(graph);
  const x = g.input('x', tensorType('float32', [symbol('n'), 2]));
  const w = g.constant('w', Tensor.of('float32', [2, 3], [1, 2, 3, -4, -5, -6]));
  const product = g.op('MatMul', [x, w], {}, { name: `${prefix}product` });
  const size = g.op('Abs', [product], {}, { name: `${prefix}size` });
  const b = g.constant('b', Tensor.of('float32', [3], [0, 0, bias]));
  const y = g.output(g.op('Add', [size, b], {}, { name: `${prefix}sum` }), 'y');
  y.type = tensorType('float32', [symbol('n'), 3]);
  const path = at(name);
  writeFileSync(path, await encodeModel(new Model(graph, new Map([['', 17]]), 8)));
  return path;
}

let a = '';
let same = '';
let other = '';
beforeAll(async () => {
  a = await save('a.onnx', 0);
  same = await save('same.onnx', 0, 'other/');
  other = await save('other.onnx', 0.5, 'other/');
});

describe('verify', () => {
  it('exits with 0 for equal functions', async () => {
    const { code, stdout, stderr } = await xform(['verify', a, same]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^verdict +the same function, as far as seen$/m);
    expect(stdout).toMatch(/^y +0 +0 +0 +1\.000000 +0 +equal/m);
  });

  it('exits with 4 and says where different ones part', async () => {
    const { code, stdout, stderr } = await xform(['verify', a, other, '--layers', '--batch', '8']);
    expect(code).toBe(4);
    expect(stdout).toMatch(/^verdict +not the same function$/m);
    expect(stdout).toMatch(/^compared +32 samples in 4 batches on cpu$/m);
    expect(stdout).toMatch(/^inner values +3, compared 1 by name and 2 by position$/m);
    expect(stdout).toMatch(/^first to differ +"y", node "sum" \(Add\)$/m);
    expect(stderr).toMatch(
      /^error: ".*a\.onnx" and ".*other\.onnx" are not the same function: output "y" differs in 32 of 96 elements, by up to 0\.5\n {2}try: /,
    );
  });

  it('reports measures as JSON, with the error beside them', async () => {
    const run = await xform(['verify', a, other, '--json', '--layers', '--limit', '1']);
    const report = JSON.parse(run.stdout);
    expect(run.code).toBe(4);
    expect(report.error.code).toBe('models-differ');
    expect(report.input.map((model: { path: string }) => model.path)).toEqual([a, other]);
    expect(report.metrics).toMatchObject({ equal: false, samples: 1, max_abs_error: 0.5 });
    expect(report.metrics.outputs[0]).toMatchObject({ name: 'y', elements: 3, mismatched: 1 });
    expect(report.metrics.layers).toMatchObject({
      matched_by_name: 1,
      matched_by_position: 2,
      first: { name: 'y', op: 'Add' },
    });
  });

  it('allows as much as it is told to', async () => {
    expect((await xform(['verify', a, other, '--atol', '0.51'])).code).toBe(0);
    const { code, stderr } = await xform(['verify', a, other, '--rtol', 'little']);
    expect(code).toBe(2);
    expect(stderr).toContain('"little" is not a value for --rtol');
  });

  it('runs on data, and says what it was', async () => {
    // Where x is so large that 0.5 is within the tolerance, the models agree.
    const large = Float32Array.of(1e4, 1, 1, 1e4, -1e4, 1);
    writeFileSync(at('large.npz'), npzBytes({ x: npyBytes('<f4', [3, 2], large) }, 6));
    const { code, stdout } = await xform(['verify', a, other, '--data', at('large.npz')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/large\.npz: 3 samples; "x" float32 \[3, 2\]$/m);
    writeFileSync(at('small.csv'), 'p,q\n0.5,1\n2,3\n');
    const table = ['--data', at('small.csv'), '--features', 'q,p', '--json'];
    const json = JSON.parse((await xform(['verify', a, other, ...table])).stdout);
    expect(json.metrics).toMatchObject({ equal: false, samples: 2 });
  });

  it('exits with 3 for data that does not fit, and says how', async () => {
    writeFileSync(at('wide.npy'), npyBytes('<f4', [1, 5], new Float32Array(5)));
    const { code, stderr, stdout } = await xform(['verify', a, same, '--data', at('wide.npy')]);
    expect(code).toBe(3);
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /^error: the array is \[1, 5\], which does not fit input "x" float32 \[n, 2\]\n {2}at: .*wide\.npy\n {2}try: /,
    );
    expect((await xform(['verify', a, same, '--data', at('none.npz')])).code).toBe(3);
  });

  it('writes its report to a file', async () => {
    await xform(['verify', a, same, '--quiet', '--report', at('report.md')]);
    expect(readFileSync(at('report.md'), 'utf8')).toMatch(/^\| y \| 0 \| 0 \| 0 \| 1\.000000 \|/m);
  });

  it('refuses a model without counterpart inputs', async () => {
    const { code, stderr } = await xform(['verify', a, 'fixtures/digits.onnx']);
    expect(code).toBe(3);
    expect(stderr).toContain('the models have different inputs');
  });
});
