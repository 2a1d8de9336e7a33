// The quantize command as its users run it.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { readModel } from '../../src/onnx/index.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const CNN = 'fixtures/digits.onnx';
const TRANSFORMER = 'fixtures/digits-transformer.onnx';
const TRAIN = ['--data', 'fixtures/digits-train.npz'];
const VAL = ['--val', 'fixtures/digits-test.npz'];

interface Document {
  readonly metrics: Record<string, number> & { readonly layers: Record<string, number> };
  readonly warnings: readonly { readonly code: string }[];
  readonly steps: readonly {
    readonly layer: string;
    readonly precision: string;
    reason?: string;
  }[];
  readonly error?: { readonly code: string; readonly message: string };
}

async function quantize(...args: string[]): Promise<{ code: number | null; report: Document }> {
  const { code, stdout } = await xform(['quantize', ...args, '--json', '--no-bench']);
  return { code, report: JSON.parse(stdout) as Document };
}

const opsOf = (path: string) => [...readModel(path).graph.nodes].map(({ op }) => op);

describe('xform quantize', () => {
  it.each([
    ['uint8', 'int8', 'qdq'],
    ['int8', 'int8', 'qdq'],
    ['uint8', 'uint8', 'qdq'],
    ['uint8', 'int8', 'qoperator'],
  ])('static %s × %s as %s keeps the accuracy', async (activations, weights, format) => {
    const out = at(`${activations}-${weights}-${format}.onnx`);
    const scheme = ['--activations', activations, '--weights', weights, '--format', format];
    const { code, report } = await quantize(CNN, '-o', out, ...TRAIN, ...VAL, ...scheme);
    expect(code).toBe(0);
    expect(report.metrics['accuracy_before']).toBeGreaterThan(0.99);
    expect(Math.abs(report.metrics['drop'] ?? 1)).toBeLessThanOrEqual(0.01);
    expect(report.metrics['cosine']).toBeGreaterThan(0.99);
    expect(report.metrics['size_ratio']).toBeLessThan(0.45);
    const ops = opsOf(out);
    expect(ops).toContain(format === 'qoperator' ? 'QLinearConv' : 'QuantizeLinear');
  });

  it('is byte-identical from run to run', async () => {
    for (const name of ['a', 'b']) {
      await quantize(CNN, '-o', at(`${name}.onnx`), ...TRAIN, '--mode', 'static');
    }
    expect(readFileSync(at('a.onnx')).equals(readFileSync(at('b.onnx')))).toBe(true);
  });

  it('makes 4-bit weights, int8 at run time and half precision, each close to the original', async () => {
    for (const [mode, least] of [
      ['weights', 0.98],
      ['dynamic', 0.99],
      ['fp16', 0.999],
      ['bf16', 0.999],
      ['fp8', 0.99],
    ] as const) {
      const out = at(`${mode}.onnx`);
      const { code, report } = await quantize(TRANSFORMER, '-o', out, '--mode', mode);
      expect([mode, code]).toEqual([mode, 0]);
      expect(report.metrics['cosine']).toBeGreaterThan(least);
      expect(report.metrics['size_ratio']).toBeLessThan(0.6);
    }
  });

  it('leaves layers float that --skip names, with the reason', async () => {
    const args = [...TRAIN, '--mode', 'static', '--skip', 'op:Gemm'];
    const { report } = await quantize(CNN, '-o', at('skip.onnx'), ...args);
    const gemm = report.steps.find(({ reason }) => reason?.includes('--skip op:Gemm'));
    expect(gemm?.precision).toBe('float');
  });

  it('keeps a drop, saves what it chose, and replays it', async () => {
    const [out, recipe] = [at('drop.onnx'), at('recipe.json')];
    const search = ['--mode', 'static', '--max-drop', '0.005', '--save-recipe', recipe];
    const { code, report } = await quantize(CNN, '-o', out, ...TRAIN, ...VAL, ...search);
    expect(code).toBe(0);
    expect(report.metrics['drop']).toBeLessThanOrEqual(0.005);
    const again = at('again.onnx');
    await quantize(CNN, '-o', again, ...TRAIN, ...VAL, '--recipe', recipe);
    expect(readFileSync(again).equals(readFileSync(out))).toBe(true);
    const both = await quantize(CNN, '-o', again, ...TRAIN, '--recipe', recipe, '--mode', 'fp16');
    expect(both.code).toBe(2);
  });

  it('mixes precisions to a size', async () => {
    const args = ['--mode', 'mixed', '--max-size', '0.45', ...TRAIN, '--limit', '32'];
    const { code, report } = await quantize(TRANSFORMER, '-o', at('mixed.onnx'), ...args);
    expect(code).toBe(0);
    expect(report.metrics['size_ratio']).toBeLessThanOrEqual(0.45);
    expect(report.metrics['cosine']).toBeGreaterThan(0.98);
  });

  it('exits with 4 where a limit cannot be kept, the report standing', async () => {
    const args = ['--mode', 'mixed', '--max-size', '10kB', ...TRAIN, '--limit', '16'];
    const { code, report } = await quantize(CNN, '-o', at('unmet.onnx'), ...args);
    expect(code).toBe(4);
    expect(report.error?.code).toBe('max-size');
  });

  it.each([
    [['--mode', 'static'], 2, 'no-calibration-data'],
    [['--mode', 'weights', '--algorithm', 'gptq'], 2, 'no-calibration-data'],
    [['--mode', 'mixed', ...TRAIN], 2, 'mixed-needs-limit'],
    [['--skip', 'nothing-is-called-so'], 2, 'pattern-matches-nothing'],
    [['--mode', 'weights', '--block', '48'], 2, 'bad-flag-value'],
    [['--mode', 'static', '--bits', '4', ...TRAIN], 2, 'usage'],
    [['--improve', 'magic'], 2, 'unknown-improvement'],
  ])('refuses %j', async (args, expected, name) => {
    const out = at('refused.onnx');
    const { code, report } = await quantize(CNN, '-o', out, ...args);
    expect([code, report.error?.code]).toEqual([expected, name]);
    expect(existsSync(out)).toBe(false);
  });

  it('warns of random calibration data, and of what is quantised already', async () => {
    const out = at('noise.onnx');
    const first = await quantize(CNN, '-o', out, '--mode', 'static', '--data', 'random');
    expect(first.report.warnings.map(({ code }) => code)).toContain('calibrated-on-noise');
    const second = await quantize(out, '-o', at('twice.onnx'), '--mode', 'static', ...TRAIN);
    expect(second.report.error?.code ?? second.report.warnings[0]?.code).toMatch(
      /already-quantized|nothing-quantized/,
    );
  });

  it('does not use a calibration cache that was made for something else', async () => {
    const cache = ['--calibration-cache', at('cache.json'), '--mode', 'static'];
    const [a, b] = [at('cached-a.onnx'), at('cached-b.onnx')];
    await quantize(CNN, '-o', a, ...TRAIN, ...cache);
    const reused = await quantize(CNN, '-o', b, ...TRAIN, ...cache);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
    expect(reused.report.warnings).toEqual([]);
    const other = await quantize(CNN, '-o', b, ...TRAIN, ...cache, '--limit', '20');
    expect(other.report.warnings.map(({ code }) => code)).toContain('calibration-cache-stale');
    writeFileSync(at('broken.json'), '{');
  });
});
