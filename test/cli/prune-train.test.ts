// `prune --train-epochs`: training between the steps, with the original as the teacher.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { unzipSync, zipSync } from 'fflate';
import { readModel } from '../../src/onnx/index.ts';
import { type Run, xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-prune-train-'));
const at = (name: string) => join(folder, name);
const CNN = 'fixtures/digits.onnx';
const DATA = ['--data', 'fixtures/digits-train.npz', '--val', 'fixtures/digits-test.npz'];
const TRAIN = ['--train-epochs', '1', '--lr', '0.005'];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(() => {
  const { 'image.npy': image } = unzipSync(readFileSync('fixtures/digits-train.npz'));
  writeFileSync(at('images.npz'), zipSync({ 'image.npy': image as Uint8Array }));
});

interface Found {
  readonly accuracy: number;
  readonly params_ratio: number;
  readonly training?: string;
}

const metrics = (run: Run) => (JSON.parse(run.stdout) as { metrics: Found }).metrics;
const prune = (...flags: string[]) =>
  xform(['prune', CNN, '-o', at('out.onnx'), '--json', '--no-bench', ...flags]);

describe('prune --train-epochs', () => {
  it('heals after each step, and needs no labels for it', async () => {
    const flags = ['--amount', '0.7', '--steps', '2', '--no-repair'];
    const images = ['--data', at('images.npz'), '--val', 'fixtures/digits-test.npz'];
    const raw = metrics(await prune(...flags, ...DATA));
    const labelled = metrics(await prune(...flags, ...TRAIN, ...DATA));
    const unlabelled = metrics(await prune(...flags, ...TRAIN, ...images));
    expect(labelled.training).toMatch(/^1 epochs on the original and labels \(classify\)/);
    expect(unlabelled.training).toMatch(/^1 epochs on the original: loss/);
    for (const { accuracy, params_ratio } of [labelled, unlabelled]) {
      expect(params_ratio).toBe(raw.params_ratio);
      expect(accuracy).toBeGreaterThan(raw.accuracy + 0.2);
      expect(accuracy).toBeGreaterThan(0.65);
    }
  }, 90_000);

  it('keeps zeros, which become as many as were asked for over the steps', async () => {
    const flags = ['--method', 'magnitude', '--amount', '0.9', '--steps', '2'];
    const raw = metrics(await prune(...flags, ...DATA));
    expect(zeros(at('out.onnx'))).toBeCloseTo(0.9, 2);
    const run = await prune(...flags, ...TRAIN, ...DATA);
    expect(zeros(at('out.onnx'))).toBeCloseTo(0.9, 2);
    expect(metrics(run).accuracy).toBeGreaterThan(raw.accuracy + 0.1);
    const { steps } = JSON.parse(run.stdout) as { steps: { before: number; after: number }[] };
    const [before, after] = (['before', 'after'] as const).map((key) =>
      steps.reduce((sum, step) => sum + (step[key] ?? 0), 0),
    ) as [number, number];
    expect(1 - after / before).toBeCloseTo(0.9, 2);
  }, 90_000);

  it.each([
    ['no data', [], /--train-epochs was given no data/],
    ['a search for a latency', [...DATA, '--target', 'latency=0.5'], /cannot be joined/],
  ])('is refused with %s', async (_, flags, message) => {
    const run = await prune(...TRAIN, ...flags);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(message);
  });
});

/** Share of zeros in matrices. */
function zeros(path: string): number {
  let [none, all] = [0, 0];
  for (const { data } of readModel(path).graph.initializers) {
    if (!data || data.shape.length < 2) continue;
    all += data.size;
    none += (data.values() as Float32Array).filter((w) => w === 0).length;
  }
  return none / all;
}
