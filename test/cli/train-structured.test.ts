// `train --prune-schedule structured`: units that go while the model is trained.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { killed, type Run, xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-structured-'));
const at = (name: string) => join(folder, name);
const CNN = 'fixtures/digits.onnx';
const TRANSFORMER = 'fixtures/digits-transformer.onnx';
const DATA = ['--data', 'fixtures/digits-train.npz', '--val', 'fixtures/digits-test.npz'];
const PRUNE = ['--prune-schedule', 'structured', '--prune-final', '0.5'];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Found {
  readonly accuracy: number;
  readonly validation: { readonly accuracy: number; readonly loss: number };
  readonly pruned?: readonly { group: string; kind: string; before: number; after: number }[];
  readonly parameters: readonly [number, number];
}

const metrics = (run: Run) => (JSON.parse(run.stdout) as { metrics: Found }).metrics;
const train = (model: string, out: string, ...flags: string[]) =>
  xform(['train', model, ...DATA, ...flags, '--json', '-o', at(out)]);

/** Validation of a model as it is: nothing moves. */
async function judged(name: string) {
  const still = ['--steps', '1', '--lr', '0', '--freeze', 'op:BatchNormalization'];
  return metrics(await train(at(name), 'same.onnx', ...still)).validation;
}

describe('train --prune-schedule structured', () => {
  it('cuts half of the channels of a CNN, which are zero by then', async () => {
    const run = await train(CNN, 'cut.onnx', ...PRUNE, '--epochs', '5');
    const { validation, pruned = [], parameters } = metrics(run);
    expect(pruned.filter(({ after, before }) => 2 * after === before).length).toBe(4);
    expect(parameters[1]).toBeLessThan(0.3 * parameters[0]);
    const cut = ['prune', CNN, '--amount', '0.5', '--no-repair', '--no-bench', ...DATA];
    const oneShot = metrics(await xform([...cut, '--json', '-o', at('one-shot.onnx')]));
    expect(validation.accuracy).toBeGreaterThan(0.9);
    expect(validation.accuracy).toBeGreaterThan(oneShot.accuracy + 0.2);
    // The model without the units is the model that validation saw with them.
    expect((await judged('cut.onnx')).loss).toBeCloseTo(validation.loss, 4);
  }, 90_000);

  it('cuts heads and neurons of a transformer', async () => {
    const run = await train(TRANSFORMER, 'small.onnx', ...PRUNE, '--epochs', '4', '--lr', '0.003');
    const { validation, pruned = [] } = metrics(run);
    const cut = pruned.filter(({ before, after }) => after < before);
    expect(new Set(cut.map(({ kind }) => kind))).toEqual(new Set(['head', 'neuron']));
    expect(validation.accuracy).toBeGreaterThan(0.85);
    expect((await judged('small.onnx')).loss).toBeCloseTo(validation.loss, 4);
  }, 90_000);

  it('goes on after a kill with the units it had chosen', async () => {
    const late = ['--prune-begin', '0.2', '--optimizer', 'sgd', '--lr', '0.02'];
    const flags = [...PRUNE, ...late, '--epochs', '3', '--checkpoint-every', '30'];
    await train(CNN, 'whole.onnx', ...flags);
    const args = ['train', CNN, ...DATA, ...flags, '-o', at('killed.onnx')];
    await killed(args, at('killed.onnx.checkpoint'));
    const resumed = await xform([...args, '--resume']);
    expect(resumed.stderr).toMatch(/from step \d+/);
    expect(readFileSync(at('killed.onnx')).equals(readFileSync(at('whole.onnx')))).toBe(true);
  }, 90_000);

  it('wants the weights themselves to be trained', async () => {
    const run = await train(CNN, 'none.onnx', ...PRUNE, '--lora', '2');
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/--lora leaves the weights alone/);
  });
});
