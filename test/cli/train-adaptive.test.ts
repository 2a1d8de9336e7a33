// Training that chooses for itself: its rate, and how it follows the noise of the gradients.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { killed, type Run, xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-adaptive-'));
const at = (name: string) => join(folder, name);
const DATA = ['--data', 'fixtures/digits-train.npz', '--val', 'fixtures/digits-test.npz'];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  const sizes = ['--in', '1x8x8', '--hidden', '32'];
  const made = await xform(['init', 'mlp', ...sizes, '-o', at('mlp.onnx')]);
  expect(made.code).toBe(0);
}, 30_000);

const metrics = <T>(run: Run) => (JSON.parse(run.stdout) as { metrics: T }).metrics;
const train = (out: string, ...flags: string[]) =>
  xform(['train', at('mlp.onnx'), ...DATA, ...flags, '--json', '-o', at(out)]);

interface Found {
  readonly validation: { readonly accuracy: number };
  readonly lr_range: { readonly chosen: number; readonly curve: readonly { rate: number }[] };
}

describe('train --lr auto', () => {
  it('finds a rate that trains, says it, and leaves the weights of the test behind', async () => {
    const flags = ['--epochs', '4', '--lr'];
    const run = await train('auto.onnx', ...flags, 'auto');
    expect(run.stderr).toMatch(/^rate 0\.\d+ from a test of \d+ updates: the loss falls/m);
    const { lr_range, validation } = metrics<Found>(run);
    expect(validation.accuracy).toBeGreaterThan(0.9);
    expect(lr_range.curve[0]?.rate).toBe(1e-6);
    // The same rate named by hand gives the same model.
    await train('named.onnx', ...flags, `${lr_range.chosen}`);
    expect(readFileSync(at('auto.onnx')).equals(readFileSync(at('named.onnx')))).toBe(true);
  }, 60_000);

  it('goes on after a kill with the rate it had chosen', async () => {
    const flags = ['--epochs', '60', '--checkpoint-every', '50', '--lr', 'auto'];
    const whole = await train('whole.onnx', ...flags);
    const args = ['train', at('mlp.onnx'), ...DATA, ...flags, '--json', '-o', at('killed.onnx')];
    await killed(args, at('killed.onnx.checkpoint'));
    const resumed = await xform([...args, '--resume']);
    expect(resumed.code).toBe(0);
    expect(metrics<Found>(resumed).lr_range).toEqual(metrics<Found>(whole).lr_range);
    expect(readFileSync(at('killed.onnx')).equals(readFileSync(at('whole.onnx')))).toBe(true);
  }, 60_000);
});

describe('train --adapt noise', () => {
  it('gets further in the same number of updates, and says how noisy gradients are', async () => {
    const flags = ['--epochs', '6', '--accumulate', '8', '--batch', '16', '--optimizer', 'sgd'];
    const rate = ['--lr', '0.02', '--schedule', 'constant'];
    const plain = metrics<Adapted>(await train('plain.onnx', ...flags, ...rate));
    const adapted = metrics<Adapted>(
      await train('gain.onnx', ...flags, ...rate, '--adapt', 'noise'),
    );
    expect(adapted.validation.loss).toBeLessThan(plain.validation.loss);
    expect(adapted.gain).toBeGreaterThan(1);
    expect(adapted.gain).toBeLessThanOrEqual(8);
    expect(adapted.noise_scale).toBeGreaterThan(0);
    expect(plain.gain).toBeUndefined();
  }, 60_000);

  it('needs several batches for an update', async () => {
    const run = await train('none.onnx', '--adapt', 'noise');
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/--accumulate 2/);
  });
});

interface Adapted {
  readonly validation: { readonly loss: number };
  readonly gain: number;
  readonly noise_scale: number;
}
