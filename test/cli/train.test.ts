import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { killed, type Run, xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-train-'));
const at = (name: string) => join(folder, name);
const data = ['--data', 'fixtures/digits-train.npz'];
const test = ['--val', 'fixtures/digits-test.npz'];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  const made = await xform([
    'init',
    'mlp',
    '--in',
    '1x8x8',
    '--hidden',
    '32',
    '-o',
    at('mlp.onnx'),
  ]);
  expect(made.code).toBe(0);
}, 30_000);

const report = (run: Run) => JSON.parse(run.stdout) as { metrics: Record<string, unknown> };

describe('xform train', () => {
  it('fits a model that then knows what it was shown', async () => {
    const flags = ['--epochs', '8', '--lr', '0.005', '--json', '--log', at('log.jsonl')];
    const events = ['--tensorboard', at('events')];
    const run = await xform([
      'train',
      at('mlp.onnx'),
      ...data,
      ...test,
      ...flags,
      ...events,
      '-o',
      at('fit.onnx'),
    ]);
    expect(run.stderr).not.toMatch(/error/);
    expect(run.code).toBe(0);
    const { metrics } = report(run) as { metrics: { validation?: { accuracy: number } } };
    expect(metrics.validation?.accuracy).toBeGreaterThan(0.9);
    const lines = readFileSync(at('log.jsonl'), 'utf8').trim().split('\n');
    const events_ = lines.map((line) => (JSON.parse(line) as { event: string }).event);
    expect(events_[0]).toBe('start');
    expect(events_.filter((event) => event === 'validation')).toHaveLength(8);
    // The written model gives what validation saw, by another road.
    const bench = await xform(['verify', at('mlp.onnx'), at('fit.onnx'), '--json']);
    expect(bench.code).toBe(4);
  }, 60_000);

  it('goes on after a kill with the weights of a run that was not killed', async () => {
    const flags = ['--epochs', '60', '--checkpoint-every', '50', '--ema', '0.99', '--quiet'];
    const whole = await xform(['train', at('mlp.onnx'), ...data, ...flags, '-o', at('whole.onnx')]);
    expect(whole.code).toBe(0);
    const args = ['train', at('mlp.onnx'), ...data, ...flags, '-o', at('killed.onnx')];
    await killed(args, at('killed.onnx.checkpoint'));
    expect(existsSync(at('killed.onnx'))).toBe(false);
    const resumed = await xform([...args, '--resume']);
    expect(resumed.code).toBe(0);
    expect(readFileSync(at('killed.onnx')).equals(readFileSync(at('whole.onnx')))).toBe(true);
  }, 60_000);

  it('ends on Ctrl-C with a checkpoint, the model so far and exit code 130', async () => {
    const args = ['train', at('mlp.onnx'), ...data, '--epochs', '100000', '-o', at('stop.onnx')];
    const run = await xform([...args, '--json'], { signalAfterMs: 2500 });
    expect(run.code).toBe(130);
    const { steps } = (report(run) as { metrics: { steps: number } }).metrics;
    expect(steps).toBeGreaterThan(0);
    expect(existsSync(at('stop.onnx.checkpoint'))).toBe(true);
    expect(existsSync(at('stop.onnx'))).toBe(true);
  }, 60_000);

  it('trains what has a memory', async () => {
    const flags = ['--in', '8', '--hidden', '16', '--layers', '1', '--classes', '10'];
    await xform(['init', 'lstm', ...flags, '-o', at('lstm.onnx'), '--set', 'seq=8']);
    // The rows of a digit, one after the other.
    const { unzipSync, zipSync } = await import('fflate');
    const files = unzipSync(readFileSync('fixtures/digits-train.npz'));
    const image = Buffer.from(files['image.npy'] as Uint8Array);
    const turned = image.toString('latin1').replace('1, 8, 8)', '8, 8)   ');
    const npz = zipSync({
      'input.npy': Buffer.from(turned, 'latin1'),
      'labels.npy': files['labels.npy'] as Uint8Array,
    });
    writeFileSync(at('rows.npz'), npz);
    const more = ['--epochs', '6', '--lr', '0.02', '--clip', '1', '--split', 'train=0.8', '--json'];
    const run = await xform([
      'train',
      at('lstm.onnx'),
      '--data',
      at('rows.npz'),
      ...more,
      '-o',
      at('lstm2.onnx'),
    ]);
    expect(run.stderr).not.toMatch(/error/);
    const { validation } = report(run).metrics as { validation: { accuracy: number } };
    expect(validation.accuracy).toBeGreaterThan(0.7);
  }, 60_000);

  it('leaves frozen weights alone', async () => {
    const flags = ['--steps', '5', '--freeze', 'layers.0*', '--json'];
    const run = await xform(['train', at('mlp.onnx'), ...data, ...flags, '-o', at('frozen.onnx')]);
    expect((report(run).metrics as { trained_tensors: number }).trained_tensors).toBe(2);
  }, 30_000);

  it.each([
    ['no data', [], 2, /needs data/],
    ['a batch larger than the data', [...data, '--batch', '5000'], 3, /batch of 5000/],
    ['nothing to train', [...data, '--freeze', '*'], 3, /can be trained/],
    ['half a pair', [...data, '--objective', 'contrastive', '--batch', '5'], 2, /two views/],
    ['a loss that is no output', [...data, '--loss', 'logit'], 2, /Did you mean "logits"/],
    ['weights for fewer classes', [...data, '--class-weights', '1,2'], 2, /10 numbers/],
    ['labels out of range', ['--data', 'labels.npz'], 3, /sample 1436 has label 10/],
    ['a language objective without tokens', [...data, '--objective', 'mlm'], 3, /token ids/],
    ['tokens of nothing to go on with', [...data, '--objective', 'clm'], 3, /token ids/],
    [
      'more than all tokens hidden',
      [...data, '--objective', 'mlm', '--mask-share', '2'],
      2,
      /"2".*mask-share|mask-share.*"2"/,
    ],
    ['columns of images', [...data, '--standardize'], 2, /--standardize is for columns/],
    ['endless data', ['--data', 'random'], 3, /number of samples/],
    ['no checkpoint', [...data, '--resume', '--checkpoint', 'mlp.onnx'], 3, /no checkpoint/],
    ['a rate that is none', [...data, '--lr', 'fast'], 2, /fast/],
  ])(
    'says what is wrong: %s',
    async (_, flags, code, message) => {
      const args = flags.map((flag) => (/^(labels.npz|mlp.onnx)$/.test(flag) ? at(flag) : flag));
      if (args.includes(at('labels.npz'))) await wrongLabels();
      const run = await xform([
        'train',
        at('mlp.onnx'),
        ...args,
        '-o',
        at('x.onnx'),
        '--steps',
        '44',
      ]);
      expect(run.stderr).toMatch(message);
      expect(run.code).toBe(code);
      expect(existsSync(at('x.onnx'))).toBe(false);
    },
    30_000,
  );

  it('stops where the loss is no number, and says at which step', async () => {
    const flags = ['--optimizer', 'sgd', '--lr', '1e30', '--steps', '50', '--schedule', 'constant'];
    const run = await xform(['train', at('mlp.onnx'), ...data, ...flags, '-o', at('nan.onnx')]);
    expect(run.code).toBe(3);
    expect(run.stderr).toMatch(/loss is NaN or infinite at step \d+; ".+" was the first tensor/);
    expect(existsSync(at('nan.onnx'))).toBe(false);
  }, 30_000);
});

/** The digits, one of which is a ten. */
async function wrongLabels(): Promise<void> {
  const { unzipSync, zipSync } = await import('fflate');
  const files = unzipSync(readFileSync('fixtures/digits-train.npz'));
  const labels = files['labels.npy'] as Uint8Array;
  labels[labels.length - 8] = 10;
  writeFileSync(at('labels.npz'), zipSync({ ...files, 'labels.npy': labels }));
}
