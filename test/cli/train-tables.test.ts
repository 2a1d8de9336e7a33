// Tables of numbers: a column told from others, and a series from its past.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Run, xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-train-tables-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const metricsOf = (run: Run) =>
  (JSON.parse(run.stdout) as { metrics: Record<string, unknown> }).metrics;
const init = (name: string, ...sizes: string[]) =>
  xform(['init', ...sizes, '-o', at(name), '--quiet']);

beforeAll(async () => {
  const rows = Array.from({ length: 200 }, (_, i) => {
    const [a, b] = [1e5 + 1e4 * Math.sin(7 * i), Math.cos(3 * i) / 100];
    return `${i},${a},${b},${500 + a / 1e3 + 2e3 * b}`;
  });
  writeFileSync(at('table.csv'), ['t,a,b,y', ...rows].join('\n'));
  const wave = Array.from({ length: 300 }, (_, i) => 20 + i / 50 + 3 * Math.sin(i / 4));
  writeFileSync(at('wave.csv'), ['level', ...wave].join('\n'));
  await init('mlp.onnx', 'mlp', '--in', '2', '--hidden', '16', '--classes', '1');
}, 30_000);

const columns = ['--features', 'a,b', '--label', 'y', '--objective', 'regress'];
const split = ['--split', 'train=0.8'];

describe('xform train on tables', () => {
  it('standardises columns of any size inside the model', async () => {
    const flags = [...columns, ...split, '--standardize', '--epochs', '40', '--lr', '0.01'];
    const out = ['-o', at('fit.onnx'), '--json'];
    const run = await xform(['train', at('mlp.onnx'), '--data', at('table.csv'), ...flags, ...out]);
    expect(run.code).toBe(0);
    expect(metricsOf(run)['trained_tensors']).toBe(4);
    // What is written is fed with the file as it is.
    const judged = ['--part', 'rest', '--task', 'regress', '--json'];
    const data = ['--data', at('table.csv'), '--features', 'a,b', '--label', 'y'];
    const found = await xform(['eval', at('fit.onnx'), ...data, ...split, ...judged]);
    const { rmse, r2 } = metricsOf(found) as { rmse: number; r2: number };
    expect(r2).toBeGreaterThan(0.98);
    const { mse } = metricsOf(run)['validation'] as { mse: number };
    expect(rmse ** 2 / mse).toBeCloseTo(1, 3);
  }, 60_000);

  it('foretells a series from windows of it', async () => {
    await init('wave.onnx', 'mlp', '--in', '24x1', '--hidden', '16', '--classes', '4');
    const series = ['--label', 'level', '--horizon', '4', '--relative', '--standardize'];
    const flags = [...series, ...split, '--epochs', '30', '--lr', '0.01', '--json'];
    const files = ['--data', at('wave.csv'), '-o', at('told.onnx')];
    const run = await xform(['train', at('wave.onnx'), ...files, ...flags]);
    expect(run.stderr).not.toMatch(/error/);
    const { mae } = metricsOf(run)['validation'] as { mae: number };
    // The last level, told again, is off by more than 1.
    expect(mae).toBeLessThan(0.3);
    expect(metricsOf(run)['data']).toContain('"level" of the next 4; as differences');
  }, 60_000);

  it('says what is wrong: a column that is missing', async () => {
    const run = await xform(['train', at('mlp.onnx'), '--data', at('table.csv'), '--label', 'z']);
    expect(run.code).toBe(3);
    expect(run.stderr).toMatch(/no column "z"[\s\S]+The columns are: t, a, b, y/);
  }, 30_000);

  it('says what is wrong: text without a tokenizer', async () => {
    await init(
      'gpt.onnx',
      ...['gpt', '--vocab', '8', '--hidden', '8', '--heads', '2', '--seq', '4'],
    );
    const data = ['--data', at('table.csv'), '--text', 'a', '--seq', '4'];
    const run = await xform(['train', at('gpt.onnx'), ...data]);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/no tokenizer is given/);
  }, 30_000);
});
