import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import protobuf from 'protobufjs';
import { readModel } from '../../src/onnx/index.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-half-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const model = 'fixtures/digits.onnx';
const data = ['--data', 'fixtures/digits-train.npz', '--val', 'fixtures/digits-test.npz'];

describe('training in half precision', () => {
  it.each(['fp16', 'bf16'])(
    'writes %s with --keep-half, and judges what it wrote',
    async (type) => {
      const out = at(`${type}.onnx`);
      const flags = ['--steps', '20', '--precision', type, '--keep-half', '--json'];
      const run = await xform(['train', model, ...data, ...flags, '-o', out]);
      expect(run.code).toBe(0);
      const { metrics, steps, warnings } = JSON.parse(run.stdout);
      expect(warnings.map(({ code }: { code: string }) => code)).toContain('half-on-cpu');
      expect(Math.abs(metrics.written.accuracy - metrics.validation.accuracy)).toBeLessThan(0.02);
      expect(steps.some(({ precision }: { precision: string }) => precision === type)).toBe(true);
      const written = readModel(out);
      const weights = [...written.graph.initializers].filter(
        ({ shape }) => (shape?.length ?? 0) > 1,
      );
      const half = type === 'fp16' ? 'float16' : 'bfloat16';
      // bfloat16 is a way to store on this machine: the smallest weights are not worth it.
      expect(weights.map(({ dtype }) => dtype)).toContain(half);
      expect(written.graph.outputs[0]?.dtype).toBe('float32');
    },
    60_000,
  );

  it('writes float32 without it', async () => {
    const flags = ['--steps', '2', '--precision', 'fp16', '--quiet'];
    const run = await xform(['train', model, ...data, ...flags, '-o', at('full.onnx')]);
    expect(run.code).toBe(0);
    const { initializers } = readModel(at('full.onnx')).graph;
    expect([...initializers].some(({ dtype }) => dtype === 'float16')).toBe(false);
  }, 60_000);

  it.each([
    [[], /precision of --precision, which is fp32/],
    [['--precision', 'fp16', '--prune-schedule', 'structured'], /keep-half writes a converted/],
  ])(
    'refuses --keep-half beside %j',
    async (flags, text) => {
      const run = await xform([
        'train',
        model,
        ...data,
        '--keep-half',
        ...flags,
        '-o',
        at('x.onnx'),
      ]);
      expect(run.stderr).toMatch(text);
      expect(run.code).toBe(2);
    },
    60_000,
  );
});

describe('events of TensorBoard', () => {
  it('hold weights as histograms on request', async () => {
    const flags = ['--steps', '4', '--checkpoint-every', '2', '--quiet', '--histograms'];
    const events = ['--tensorboard', at('events')];
    const run = await xform(['train', model, ...data, ...flags, ...events, '-o', at('t.onnx')]);
    expect(run.code).toBe(0);
    const [file = ''] = readdirSync(at('events'));
    const found = histogramsOf(readFileSync(join(at('events'), file)));
    const written = readModel(at('t.onnx')).graph.initializers;
    for (const value of written) {
      const own = found.filter(({ tag, step }) => tag === `weights/${value.name}` && step === 4);
      if (own.length === 0) continue;
      const numbers = value.data?.numbers() ?? [];
      expect(own).toHaveLength(1);
      expect(own[0]?.num).toBe(numbers.length);
      expect(own[0]?.max).toBe(Math.max(...numbers));
      expect(own[0]?.counts.reduce((a, b) => a + b, 0)).toBe(numbers.length);
    }
    expect(new Set(found.map(({ step }) => step))).toEqual(new Set([2, 4]));
  }, 60_000);
});

const Event = protobuf
  .parse(`syntax = "proto3";
message Histogram { double min = 1; double max = 2; double num = 3; double sum = 4;
  double sum_squares = 5; repeated double limits = 6; repeated double counts = 7; }
message Value { string tag = 1; float simple = 2; Histogram histogram = 5; }
message Summary { repeated Value value = 1; }
message Event { double time = 1; int32 step = 2; Summary summary = 5; }`)
  .root.lookupType('Event');

interface Histogram {
  readonly num: number;
  readonly max: number;
  readonly counts: number[];
}

/** Records are a length of 8 bytes, its checksum of 4, the message, its checksum. */
function histogramsOf(bytes: Buffer) {
  const found: (Histogram & { readonly tag: string; readonly step: number })[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const { step, summary } = Event.decode(
      bytes.subarray(at + 12, at + 12 + length),
    ) as unknown as {
      step: number;
      summary?: { value: { tag: string; histogram?: Histogram }[] };
    };
    for (const { tag, histogram } of summary?.value ?? []) {
      if (histogram) found.push({ tag, step, ...histogram });
    }
    at += 16 + length;
  }
  return found;
}

describe('models in half precision', () => {
  it('are trained in float32, and written in the types they had', async () => {
    const half = at('model.fp16.onnx');
    const made = await xform(['quantize', model, '--mode', 'fp16', '--quiet', '-o', half]);
    expect(made.code).toBe(0);
    const head = ['--head', 'classify:10', '--epochs', '4', '--lr', '0.003', '--json'];
    const run = await xform(['train', half, ...data, ...head, '-o', at('trained.fp16.onnx')]);
    expect(run.stderr).not.toMatch(/error/);
    const { metrics } = JSON.parse(run.stdout);
    expect(metrics.written.accuracy).toBeGreaterThan(0.9);
    expect(Math.abs(metrics.written.accuracy - metrics.validation.accuracy)).toBeLessThan(0.01);
    const types = (path: string) =>
      [...readModel(path).graph.initializers].map(({ name, dtype, shape }) => [name, dtype, shape]);
    expect(types(at('trained.fp16.onnx'))).toEqual(types(half));
  }, 60_000);
});
