import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { inputSpecs } from '../../src/data/inputs.ts';
import { openDataset } from '../../src/data/open.ts';
import { readModel } from '../../src/onnx/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-qat-'));
const at = (name: string) => join(folder, name);
const data = ['--data', 'fixtures/digits-train.npz'];
const val = ['--val', 'fixtures/digits-test.npz'];
const model = 'fixtures/digits.onnx';
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Metrics {
  readonly validation: { readonly accuracy: number };
  readonly written: { readonly accuracy: number };
}

async function trained(args: readonly string[]): Promise<Metrics> {
  const run = await xform([...args, '--json']);
  expect(run.stderr).not.toMatch(/error/);
  expect(run.code).toBe(0);
  return (JSON.parse(run.stdout) as { metrics: Metrics }).metrics;
}

/** Share of the test digits that a file tells right, as onnxruntime runs it by default. */
async function accuracyOf(path: string): Promise<number> {
  const written = readModel(path);
  const test = await openDataset('fixtures/digits-test.npz', inputSpecs(written), { seed: 0 });
  const session = await loadModel(written, { optimization: 'all' });
  let [right, seen] = [0, 0];
  for await (const { feeds, targets } of test.batches(16)) {
    const [logits] = (await session.run(feeds)).values();
    const labels = targets.get('labels')?.numbers() ?? [];
    const values = logits?.numbers() ?? [];
    labels.forEach((label, i) => {
      const row = values.slice(10 * i, 10 * i + 10);
      right += Number(row.indexOf(Math.max(...row)) === label);
      seen += 1;
    });
  }
  await session.dispose();
  return right / seen;
}

const typesOf = (path: string) =>
  new Set([...readModel(path).graph.initializers].map(({ dtype }) => dtype));
const scalesOf = (path: string) => {
  const { initializers } = readModel(path).graph;
  const scales = [...initializers].filter(({ name }) => name.endsWith('_scale'));
  return new Map(scales.map(({ name, data: scale }) => [name, scale?.numbers()]));
};

describe('xform train --qat', () => {
  it.each(['int8', 'int4'])(
    'writes a model of %s as accurate as validation said',
    async (type) => {
      const out = at(`${type}.onnx`);
      const flags = ['--qat', type, '--steps', '40', '-o', out];
      const { validation, written } = await trained(['train', model, ...data, ...val, ...flags]);
      expect(validation.accuracy).toBeGreaterThan(0.97);
      expect(written.accuracy).toBe(validation.accuracy);
      expect(await accuracyOf(out)).toBeCloseTo(validation.accuracy, 6);
      expect(typesOf(out)).toContain(type);
    },
    60_000,
  );

  it('starts from the model that quantize writes', async () => {
    const flags = ['--steps', '1', '--lr', '0', '--qat', 'int8', '--qat-samples', '1437'];
    await trained(['train', model, ...data, ...flags, '-o', at('still.onnx')]);
    const quantize = ['--mode', 'static', '--samples', '1437', '--no-keep-faster', '--no-bench'];
    const run = await xform(['quantize', model, ...data, ...quantize, '-o', at('ptq.onnx')]);
    expect(run.code).toBe(0);
    const [mine, theirs] = [at('still.onnx'), at('ptq.onnx')].map((path) => readModel(path).graph);
    expect([...(mine?.nodes ?? [])].map(({ op }) => op)).toEqual(
      [...(theirs?.nodes ?? [])].map(({ op }) => op),
    );
    const named = new Map([...(theirs?.initializers ?? [])].map((v) => [v.name, v.data]));
    for (const { name, data: tensor } of mine?.initializers ?? []) {
      const other = named.get(name);
      expect([name, other?.dtype, `${other?.shape}`]).toEqual([
        ...[name, tensor?.dtype, `${tensor?.shape}`],
      ]);
      if (tensor && other) expect(elementsOf(tensor)).toEqual(elementsOf(other));
    }
  }, 60_000);

  it('leaves scales alone after the share of the run that was asked for', async () => {
    const run = (name: string, ...flags: string[]) =>
      trained([...['train', model, ...data, '--qat', 'int8', ...flags], '-o', at(name)]);
    await run('s0.onnx', '--steps', '1', '--lr', '0');
    await run('s1.onnx', '--steps', '4', '--qat-freeze', '0');
    await run('s2.onnx', '--steps', '4');
    const [start, frozen, learned] = ['s0', 's1', 's2'].map((name) => scalesOf(at(`${name}.onnx`)));
    expect(frozen).toEqual(start);
    expect(learned).not.toEqual(start);
  }, 60_000);

  it('goes on after a kill with the bytes of a run that was not killed', async () => {
    const flags = ['--steps', '120', '--checkpoint-every', '20', '--ema', '0.9', '--quiet'];
    const run = (name: string, type = 'int4') => {
      return ['train', model, ...data, '--qat', type, ...flags, '-o', at(name)];
    };
    expect((await xform(run('whole.onnx'))).code).toBe(0);
    await killed(run('killed.onnx'), at('killed.onnx.checkpoint'));
    expect(existsSync(at('killed.onnx'))).toBe(false);
    const other = await xform([...run('killed.onnx', 'int8'), '--resume']);
    expect(other.stderr).toMatch(/its qat is int4, not int8/);
    expect((await xform([...run('killed.onnx'), '--resume'])).code).toBe(0);
    expect(readFileSync(at('killed.onnx')).equals(readFileSync(at('whole.onnx')))).toBe(true);
  }, 60_000);

  it('prunes in the same run: zeros are zero codes', async () => {
    const prune = ['--prune-schedule', 'magnitude', '--prune-final', '0.6'];
    const flags = ['--qat', 'int8', '--steps', '50', ...prune];
    const metrics = await trained(['train', model, ...data, ...val, ...flags, '-o', at('p.onnx')]);
    expect(metrics.written.accuracy).toBe(metrics.validation.accuracy);
    const codes = [...readModel(at('p.onnx')).graph.initializers].filter(
      ({ dtype, shape }) => dtype === 'int8' && (shape?.length ?? 0) > 1,
    );
    expect(codes.length).toBeGreaterThan(3);
    for (const { data: tensor } of codes) {
      const numbers = tensor?.numbers() ?? [];
      const zeros = numbers.filter((code) => code === 0).length;
      expect(zeros / numbers.length).toBeGreaterThan(0.59);
    }
  }, 60_000);

  it('trains low-rank changes of rounded weights', async () => {
    const flags = ['--qat', 'int8', '--lora', '4', '--steps', '40', '--lr', '0.005'];
    const args = ['train', 'fixtures/digits-transformer.onnx', ...data, ...val, ...flags];
    const { validation, written } = await trained([...args, '-o', at('lora.onnx')]);
    expect(Math.abs(written.accuracy - validation.accuracy)).toBeLessThan(0.006);
    expect(validation.accuracy).toBeGreaterThan(0.9);
  }, 60_000);

  it('distils into a rounded student', async () => {
    const flags = ['--qat', 'int4', '--teacher', model, '--steps', '40', '--optimizer', 'sgd'];
    const more = ['--lr', '0.005', '-o', at('student.onnx')];
    const { validation, written } = await trained([
      ...['distill', model, ...data, ...val, ...flags, ...more],
    ]);
    expect(written.accuracy).toBe(validation.accuracy);
    expect(validation.accuracy).toBeGreaterThan(0.97);
  }, 60_000);

  it.each([
    ['half precision', ['--precision', 'fp16'], 2, /exclude each other/],
    ['nothing to quantise', ['--qat-skip', '*'], 3, /chosen to stay float|qat-skip/],
    ['endless data', ['--data', 'random'], 3, /number of samples/],
    ['a share that is none', ['--qat-freeze', '3'], 2, /0 to 1/],
  ])(
    'refuses %s',
    async (_what, flags, code, message) => {
      const base = flags.includes('--data') ? [] : data;
      const run = await xform(['train', model, ...base, '--qat', 'int8', '--steps', '2', ...flags]);
      expect(run.stderr).toMatch(message);
      expect(run.code).toBe(code);
    },
    30_000,
  );
});

/** Kills a run with SIGKILL as soon as it has written a checkpoint. */
function killed(args: readonly string[], checkpoint: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['bin/run.js', ...args], { stdio: 'ignore' });
    const watch = setInterval(() => {
      if (existsSync(checkpoint)) child.kill('SIGKILL');
    }, 5);
    child.on('error', reject);
    child.on('close', () => {
      clearInterval(watch);
      resolve();
    });
  });
}
