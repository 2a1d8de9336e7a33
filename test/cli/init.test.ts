// `xform init` as a user runs it.

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { decodeModel, readModel } from '../../src/onnx/index.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-init-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('init', () => {
  it('writes a model of the published size, and says so', async () => {
    const file = join(folder, 'mobilenetv2.onnx');
    const { code, stdout } = await xform(['init', 'mobilenetv2', '-o', file, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.metrics.parameters).toBe(3_504_872);
    expect(report.output.bytes).toBe(statSync(file).size);
    // Four bytes for each parameter and running statistic.
    expect(report.output.bytes).toBeGreaterThan(4 * 3_504_872);
    const model = readModel(file);
    expect(model.graph.inputs[0]?.shape?.map(String)).toEqual(['batch', '3', '224', '224']);
  });

  it('writes the same bytes for the same seed, to standard output as to a file', async () => {
    const args = ['init', 'mlp', '--in', '13', '--hidden', '8,4', '--classes', '3', '--seed', '5'];
    const file = join(folder, 'mlp.onnx');
    expect((await xform([...args, '-o', file])).code).toBe(0);
    const streamed = await xform([...args, '-o', '-']);
    expect(streamed.bytes.equals(readFileSync(file))).toBe(true);
    const other = await xform([...args.slice(0, -1), '6', '-o', '-']);
    expect(other.bytes.equals(streamed.bytes)).toBe(false);
    const shapes = [...decodeModel(streamed.bytes).graph.initializers].map((v) => v.data?.shape);
    expect(shapes).toEqual([[8, 13], [8], [4, 8], [4], [3, 4], [3]]);
  });

  it('fixes sizes with --set and keeps weights beside the model with --external-data', async () => {
    const file = join(folder, 'cnn.onnx');
    const args = ['init', 'cnn', '-o', file, '--set', 'batch=2', '--external-data'];
    expect((await xform(args)).code).toBe(0);
    const model = readModel(file);
    expect(model.graph.inputs[0]?.shape).toEqual([2, 1, 28, 28]);
    expect(model.graph.outputs[0]?.shape).toEqual([2, 10]);
    expect(statSync(`${file}.data`).size).toBeGreaterThan(statSync(file).size);
  });

  it('names the nearest architecture, and what one takes', async () => {
    const unknown = await xform(['init', 'resnet5', '-o', join(folder, 'x.onnx')]);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('Did you mean "resnet50"?');
    const odd = await xform(['init', 'resnet18', '--heads', '3', '-o', join(folder, 'x.onnx')]);
    expect(odd.code).toBe(2);
    expect(odd.stderr).toContain('resnet18 has no --heads');
    expect(odd.stderr).toContain('It takes --in, --classes, --width.');
    const bad = await xform(['init', 'cnn', '--in', '3,32,32', '-o', join(folder, 'x.onnx')]);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('"3,32,32" is not a value for --in');
  });
});
