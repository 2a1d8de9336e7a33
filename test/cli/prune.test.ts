// `prune` as a user runs it: what it writes, says and refuses.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { encodeModel } from '../../src/onnx/index.ts';
import { type Run, xform } from '../helpers/cli.ts';
import { parseModel } from '../helpers/parse.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-prune-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CNN = 'fixtures/digits.onnx';
const TRANSFORMER = 'fixtures/digits-transformer.onnx';
const DATA = [
  ...['--data', 'fixtures/digits-train.npz', '--samples', '128', '--batch', '16'],
  ...['--val', 'fixtures/digits-test.npz'],
];

const RANDOM = ['--data', 'random', '--limit', '2'];

interface Report {
  readonly metrics: {
    readonly accuracy: number;
    readonly accuracy_before: number;
    readonly params_ratio: number;
    readonly flops_ratio: number;
    readonly size_ratio: number;
    readonly sparsity?: number;
    readonly zip_ratio?: number;
    readonly zstd_ratio?: number;
    readonly repair?: readonly string[];
    readonly sensitivity?: readonly unknown[];
  };
  readonly steps: readonly {
    readonly group?: string;
    readonly before: number;
    readonly after: number;
  }[];
  readonly error?: { readonly code: string };
}

const report = (run: Run) => JSON.parse(run.stdout) as Report;
const prune = (model: string, ...flags: string[]) =>
  xform(['prune', model, '-o', at('out.onnx'), '--json', '--no-bench', ...flags]);

describe('xform prune', () => {
  it('makes tensors smaller, and a model that runs', async () => {
    const run = await prune(CNN, '--amount', '0.3', '--no-check');
    expect(run.code).toBe(0);
    expect(report(run).metrics.params_ratio).toBeLessThan(0.6);
    const bench = await xform(['bench', at('out.onnx'), '--json', '--runs', '3']);
    expect(bench.code).toBe(0);
  }, 60_000);

  it('comes back by repair: far above the same cut without it', async () => {
    const flags = ['--amount', '0.3', ...DATA];
    const mended = report(await prune(CNN, ...flags)).metrics;
    const raw = report(await prune(CNN, ...flags, '--no-repair')).metrics;
    expect(mended.repair?.[0]).toMatch(/least squares/);
    expect(mended.params_ratio).toBe(raw.params_ratio);
    expect(mended.accuracy).toBeGreaterThan(0.95);
    expect(mended.accuracy).toBeGreaterThan(raw.accuracy + 0.2);
  }, 60_000);

  it.each(['head', 'neuron', 'hidden', 'layer'])(
    '%s of a transformer',
    async (method) => {
      const run = await prune(TRANSFORMER, '--method', method, '--amount', '0.4', ...DATA);
      expect(run.code).toBe(0);
      const { metrics } = report(run);
      expect(metrics.params_ratio).toBeLessThan(0.95);
      expect(metrics.accuracy).toBeGreaterThan(0.5);
    },
    60_000,
  );

  it.each([
    ['magnitude', ['--amount', '0.6'], 0.6],
    ['nm', ['--score', 'sparsegpt'], 0.5],
    ['wanda', ['--amount', '0.3'], 0.3],
    ['sparsegpt', ['--amount', '0.5'], 0.5],
    ['gradient', ['--amount', '0.2'], 0.2],
  ] as const)(
    '%s leaves shapes and sets weights to zero',
    async (method, flags, share) => {
      const run = await prune(TRANSFORMER, '--method', method, ...flags, ...DATA);
      expect(run.code).toBe(0);
      const { metrics, steps } = report(run);
      expect(metrics.params_ratio).toBe(1);
      const weights = steps.filter(({ before }) => before > 0);
      const [before, after] = (['before', 'after'] as const).map((key) =>
        weights.reduce((sum, step) => sum + step[key], 0),
      ) as [number, number];
      expect(1 - after / before).toBeGreaterThan(share - 0.05);
      expect(1 - after / before).toBeLessThan(share + 0.05);
      expect(metrics.accuracy).toBeGreaterThan(0.8);
      expect(metrics.zip_ratio).toBeLessThan(1);
      expect(metrics.zstd_ratio).toBeLessThan(1);
    },
    60_000,
  );

  it('crops kernels', async () => {
    const run = await prune(CNN, '--method', 'spatial', '--amount', '0.3', '--no-check');
    expect(run.code).toBe(0);
    expect(report(run).metrics.flops_ratio).toBeLessThan(0.95);
  }, 60_000);

  it('meets a target, in steps, to what --max-drop allows', async () => {
    const flops = report(await prune(CNN, '--target', 'flops=0.5', '--no-check')).metrics;
    expect(Math.abs(flops.flops_ratio - 0.5)).toBeLessThan(0.08);
    const run = await prune(CNN, '--amount', '0.7', '--max-drop', '0.02', '--steps', '2', ...DATA);
    expect(run.code).toBe(0);
    const { metrics } = report(run);
    expect(metrics.accuracy_before - metrics.accuracy).toBeLessThanOrEqual(0.02 + 1e-9);
  }, 90_000);

  it('takes less of what matters more', async () => {
    const { metrics, steps } = report(
      await prune(CNN, '--amount', '0.3', '--sensitivity', ...DATA),
    );
    expect(metrics.sensitivity?.length).toBeGreaterThan(1);
    const shares = steps
      .filter(({ group, before }) => group && before > 0)
      .map(({ before, after }) => 1 - after / before);
    expect(Math.max(...shares) - Math.min(...shares)).toBeGreaterThan(0.1);
    expect(metrics.accuracy).toBeGreaterThan(0.95);
  }, 60_000);

  it('is the same file each time', async () => {
    const flags = ['--amount', '0.5', '--criterion', 'random', '--seed', '3', '--no-check'];
    const one = await xform(['prune', CNN, '-o', '-', '--quiet', ...flags, '--no-bench']);
    const two = await xform(['prune', CNN, '-o', '-', '--quiet', ...flags, '--no-bench']);
    expect(one.bytes.length).toBeGreaterThan(1000);
    expect(one.bytes.equals(two.bytes)).toBe(true);
  }, 60_000);
});

describe('what prune refuses', () => {
  beforeAll(async () => {
    const text = `g (float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }`;
    writeFileSync(at('relu.onnx'), await encodeModel(parseModel(text)));
    const half = `g (float16[n, 4] x) => (float16[n, 4] y)
<float16[4, 8] a = random, float16[8, 4] b = random> { h = MatMul(x, a) y = MatMul(h, b) }`;
    writeFileSync(at('half.onnx'), await encodeModel(parseModel(half)));
    const stored = `g (float[n, 2] x) => (float[n, 2] y)
<int8[2, 2] a = {1, -2, 3, 4}, int8[2, 2] b = {5, 6, 7, -8}, float s = {0.1}>
{ c = DequantizeLinear(a, s) d = DequantizeLinear(b, s) h = MatMul(x, c) y = MatMul(h, d) }`;
    writeFileSync(at('stored.onnx'), await encodeModel(parseModel(stored)));
  });

  it.each([
    ['an amount of 1', [CNN, '--amount', '1'], 2, /"1"/],
    ['an amount that leaves nothing', [CNN, '--amount', '0.99'], 2, /nothing of the 16 units/],
    ['an amount that is none', [CNN, '--amount', 'half'], 2, /half/],
    ['a pattern that fits nothing', [CNN, '--skip', 'nosuch*'], 2, /nosuch/],
    ['a method that is none', [CNN, '--method', 'magic'], 2, /magic/],
    ['N:M that is none', [CNN, '--method', 'nm', '--pattern', '4:2'], 2, /4:2/],
    [
      'M that divides nothing',
      [TRANSFORMER, '--method', 'nm', '--pattern', '7:61'],
      3,
      /multiple of 61/,
    ],
    ['data that does not fit', ['relu.onnx', '--data', 'fixtures/digits-train.npz'], 3, /"x"/],
    ['half precision', ['half.onnx', '--method', 'magnitude'], 3, /weight is float16/],
    ['weights as integers', ['stored.onnx', '--method', 'sparsegpt', ...RANDOM], 3, /Dequantize/],
    ['gradients of integers', ['stored.onnx', '--method', 'gradient', ...RANDOM], 3, /Dequantize/],
    ['no data where scores need it', [CNN, '--method', 'wanda'], 2, /no data/],
    ['blocks where there are none', [CNN, '--method', 'layer', ...DATA], 3, /residual/],
    ['a model of which nothing can be cut', ['relu.onnx'], 3, /can be pruned/],
  ] as const)(
    '%s',
    async (_, args, code, message) => {
      const [model, ...flags] = args;
      const path = model.includes('/') ? model : at(model);
      const run = await xform(['prune', path, '-o', at('refused.onnx'), '--no-bench', ...flags]);
      expect(run.stderr).toMatch(message);
      expect(run.code).toBe(code);
      expect(existsSync(at('refused.onnx'))).toBe(false);
    },
    30_000,
  );
});
