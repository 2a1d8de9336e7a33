// All kinds of data for all commands that take some: each command opens each kind as it does in a run, and
// some go through the program.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Parser } from '@oclif/core';
import { prepareModel } from '../../src/cli/bench/inputs.ts';
import { calibrationFlags, openCalibration } from '../../src/cli/calibration.ts';
import { type DataFlagValues, dataFlags, dataOptionsFrom } from '../../src/cli/data/flags.ts';
import { evalFlags, taskOptionsFrom } from '../../src/cli/eval/flags.ts';
import { judgeModel } from '../../src/cli/eval/run.ts';
import { openSamples } from '../../src/cli/train/data.ts';
import type { Batch } from '../../src/data/dataset.ts';
import { readModel } from '../../src/onnx/index.ts';
import { Reporter } from '../../src/report/reporter.ts';
import { toWire, transferables } from '../../src/runtime/protocol.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { xform } from '../helpers/cli.ts';
import { type DataCase, writeDatasets } from '../helpers/datasets.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-data-kinds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const cases = await writeDatasets(folder);
const named = cases.map((one) => [one.kind, one] as const);
const reporter = new Reporter({
  quiet: true,
  verbose: false,
  color: false,
  stream: process.stderr,
});
const session = { provider: 'cpu' } as const;

async function optionsOf({ flags }: DataCase) {
  const parsed = await Parser.parse([...flags], { flags: dataFlags });
  return dataOptionsFrom({ ...(parsed.flags as object), seed: 0 } as DataFlagValues);
}

const contentOf = (tensor: Tensor) =>
  'strings' in tensor.source ? tensor.source.strings : [...tensor.bytes()];

describe.each(named)('%s', (_, one) => {
  const { data, model: path, samples } = one;

  it('is what training and distillation take samples of', async () => {
    const dataset = await openSamples(data, readModel(path), await optionsOf(one));
    expect(dataset.length).toBe(samples);
    const batch = await dataset.take?.([samples - 1, 0, 0]);
    const [feed] = batch?.feeds.values() ?? [];
    expect(feed?.shape[0]).toBe(3);
    const width = (feed?.byteLength ?? 0) / 3;
    const [a, b, c] = [0, 1, 2].map((i) => feed?.bytes().slice(i * width, (i + 1) * width));
    expect(b).toEqual(c);
    // Bytes of a WAV file begin and end alike often enough; everything else differs.
    if (one.kind !== 'bytes') expect(a).not.toEqual(b);
  });

  it('gives samples away for good, and again', async () => {
    const dataset = await openSamples(data, readModel(path), await optionsOf(one));
    const take = async () => {
      const batch = (await dataset.take?.([2, 1])) as Batch;
      return new Map([...batch.feeds, ...batch.targets]);
    };
    const [first, copy] = [await take(), await take()];
    const expected = [...copy].map(([name, tensor]) => [name, contentOf(tensor)]);
    const wire = await toWire(first, new Set(first.keys()));
    structuredClone(null, { transfer: transferables(wire) });
    expect([...(await take())].map(([name, tensor]) => [name, contentOf(tensor)])).toEqual(
      expected,
    );
  });

  it('is what is calibrated on', async () => {
    const { flags } = await Parser.parse(['--samples', '5'], { flags: calibrationFlags });
    const opened = await openCalibration(readModel(path), {
      flags: { ...(flags as never as Parameters<typeof openCalibration>[1]['flags']), data },
      dataOptions: await optionsOf(one),
      bits: 8,
      session,
      reporter,
    });
    const [first] = readModel(path).graph.inputs;
    const ranges = await opened?.calibration.ranges(readModel(path), [first?.name ?? '']);
    expect(ranges).toBeDefined();
  });

  it('is what is measured on', async () => {
    const sizes = new Map<string, number>();
    const dataOptions = await optionsOf(one);
    const prepared = prepareModel('m', path, { sizes, data, dataOptions, batchGiven: true });
    const { feeds, samples: taken } = await prepared.feeds(2);
    expect(taken).toBe(2);
    expect(feeds.size).toBe(readModel(path).graph.inputs.length);
  });

  if (one.kind === 'npy') return;
  it('is what models are judged on', async () => {
    const { flags } = await Parser.parse([], { flags: evalFlags });
    const judged = await judgeModel(path, {
      task: one.task,
      data,
      dataOptions: await optionsOf(one),
      taskOptions: taskOptionsFrom(flags as never),
      sizes: new Map(),
      batch: 5,
      session,
      reporter,
    });
    expect(judged.evaluation.count).toBe(samples);
    const value = judged.evaluation.compute()[judged.task.main];
    expect(value).toBeGreaterThanOrEqual(0);
  });
});

describe('the program', () => {
  const out = join(folder, 'out.onnx');
  const steps = ['--steps', '2', '--batch', '4', '-o', out];
  const words: Record<string, (model: string) => string[]> = {
    train: (model) => ['train', model, ...steps],
    distill: (model) => ['distill', model, '--teacher', model, ...steps],
    eval: (model) => ['eval', model, '--no-bench', '--resamples', '20'],
    quantize: (model) => ['quantize', model, '--mode', 'static', '--no-keep-faster', '-o', out],
    bench: (model) => ['bench', model, '--runs', '3'],
  };
  const pairs = Object.entries({
    train: ['parallel', 'class folders'],
    distill: ['npy', 'jsonl'],
    eval: ['coco', 'labels.csv'],
    quantize: ['wav', 'test data'],
    bench: ['lines'],
  }).flatMap(([command, kinds]) => kinds.map((kind) => [command, kind] as const));

  it.each(pairs)('%s, %s', async (command, kind) => {
    const found = cases.find((one) => one.kind === kind) as DataCase;
    const args = words[command]?.(found.model) ?? [];
    const task = command === 'eval' && found.task ? ['--task', found.task] : [];
    const run = await xform([...args, ...task, '--data', found.data, ...found.flags, '--json']);
    expect(run.stderr).not.toMatch(/^error/m);
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout).command).toBe(command);
  });

  it('says which samples it left out', async () => {
    const { data, model } = cases.find(({ kind }) => kind === 'class folders') as DataCase;
    const cut = join(data, 'cat', 'cut.jpg');
    writeFileSync(cut, readFileSync(join(data, 'cat', '1.jpg')).subarray(0, 300));
    const all = ['--epochs', '1', '--batch', '1', '-o', out];
    const args = ['train', model, ...all, '--data', data];
    const stopped = await xform(args);
    expect([stopped.code, stopped.stderr]).toEqual([3, expect.stringContaining(cut)]);
    const run = await xform([...args, '--skip-bad']);
    expect([run.code, run.stderr]).toEqual([
      0,
      expect.stringMatching(/^warning: 1 bad skipped: .*cut\.jpg/m),
    ]);
  });
});
