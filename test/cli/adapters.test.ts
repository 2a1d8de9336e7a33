// `train --adapters`: small networks inside a transformer, which stay in it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { readModel } from '../../src/onnx/index.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-adapters-'));
const at = (name: string) => join(folder, name);
const MODEL = 'fixtures/digits-transformer.onnx';
const DATA = ['--data', 'fixtures/digits-train.npz', '--val', 'fixtures/digits-test.npz'];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const train = (model: string, ...flags: string[]) =>
  xform(['train', model, ...DATA, ...flags, '--json', '-o', at('out.onnx')]);

const weights = (path: string) =>
  new Map([...readModel(path).graph.initializers].map(({ name, data }) => [name, data?.bytes()]));

describe('train --adapters', () => {
  it('learns a new head with them, and leaves everything else as it was', async () => {
    const flags = ['--adapters', '4', '--head', 'classify:10', '--epochs', '3', '--lr', '0.01'];
    const run = await train(MODEL, ...flags);
    expect(run.stderr).toMatch(/^4 adapters of width 4$/m);
    const { metrics } = JSON.parse(run.stdout) as {
      metrics: { validation: { accuracy: number }; trained_tensors: number };
    };
    expect(metrics.validation.accuracy).toBeGreaterThan(0.9);
    // Four tensors each, five norms of two, two of the head.
    expect(metrics.trained_tensors).toBe(28);
    const [before, after] = [weights(MODEL), weights(at('out.onnx'))];
    const same = [...before].filter(
      ([name, bytes]) =>
        after.has(name) && Buffer.from(bytes ?? []).equals(after.get(name) ?? Buffer.of()),
    );
    expect(same.map(([name]) => name)).toEqual(
      expect.arrayContaining(['pos', 'emb.bias', 'bl.0.a.q.bias', 'bl.1.f2.bias']),
    );
    const added = [...after].filter(([name]) => /#adapter/.test(name));
    expect(added.length).toBe(16);
    // All of them have moved, those that started at zero, too.
    for (const [, bytes] of added) expect(bytes?.some((byte) => byte !== 0)).toBe(true);
  }, 60_000);

  it('says where there is no place for them', async () => {
    const run = await train('fixtures/digits.onnx', '--adapters', '4');
    expect(run.code).toBe(3);
    expect(run.stderr).toMatch(/no product that feeds a residual sum/);
  });
});
