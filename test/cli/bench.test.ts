// `xform bench` as users and CI jobs call it. No figure of time is asserted: only what holds on any
// machine.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Builder, Graph, Model, symbol, tensorType } from '../../src/graph/index.ts';
import { encodeModel } from '../../src/onnx/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { xform } from '../helpers/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-bench-'));
const [small, large, fixed] = ['small.onnx', 'large.onnx', 'fixed.onnx'];

/** `layers` products with a square matrix of `width`; a batch dimension unless `rows` is given. */
async function write(name: string, width: number, layers: number, rows?: number): Promise<void> {
  const graph = new Graph('chain');
  const g = new Builder(graph);
  const type = tensorType('float32', [rows ?? symbol('batch'), width]);
  let value = g.input('x', type);
  const w = g.constant('w', Tensor.of('float32', [width, width], new Float32Array(width * width)));
  for (let i = 0; i < layers; i++) value = g.op('MatMul', [value, w], {}, { name: `layer${i}` });
  value.type = type;
  g.output(value, 'y');
  const model = new Model(graph, new Map([['', 17]]), 8);
  writeFileSync(join(folder, name), await encodeModel(model));
}

beforeAll(async () => {
  await write(small, 16, 1);
  await write(large, 512, 8);
  await write(fixed, 16, 1, 3);
});
afterAll(() => rmSync(folder, { recursive: true }));

const bench = (...args: string[]) =>
  xform(['bench', ...args, '--provider', 'cpu'], { cwd: folder });
const quick = ['--runs', '12', '--warmup', '2'];

describe('xform bench', () => {
  it('measures one model and counts its work', async () => {
    const { code, stdout, stderr } = await bench(large, ...quick, '--json', '--threads', '1');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { metrics } = JSON.parse(stdout);
    const { latency_ms: latency } = metrics;
    expect(latency.runs).toBe(12);
    expect(latency.min).toBeGreaterThan(0);
    for (const [low, high] of [
      ['min', 'p50'],
      ['p50', 'p90'],
      ['p90', 'p99'],
      ['p99', 'max'],
    ]) {
      expect(latency[low as string]).toBeLessThanOrEqual(latency[high as string]);
    }
    expect(metrics.throughput_per_s).toBeCloseTo(1000 / latency.p50, 6);
    // 8 layers of 512 x 512 multiply-adds, two operations each.
    expect(metrics.flops_per_s).toBeCloseTo((2 * 8 * 512 * 512 * 1000) / latency.p50, 0);
    expect(metrics).toMatchObject({ provider: 'cpu', batch: 1, threads: 1 });
    // One matrix of 1 MB, and a runtime that needs tens of them.
    expect(metrics.peak_rss_bytes).toBeGreaterThan(20e6);
    expect(metrics.model_rss_bytes).toBeGreaterThan(1e6);
    expect(metrics.load_ms).toBeGreaterThan(0);
    expect(metrics.first_run_ms).toBeGreaterThan(0);
  });

  it('compares models and sees a difference of a thousandfold', async () => {
    const { code, stdout } = await bench(small, large, ...quick, '--json');
    expect(code).toBe(0);
    const { metrics } = JSON.parse(stdout);
    expect(Object.keys(metrics)).toEqual([small, large]);
    expect(metrics[small].verdict).toBeUndefined();
    const { verdict, ratio, ratio_low: low, ratio_high: high } = metrics[large];
    expect(verdict).toBe('slower');
    expect(low).toBeLessThanOrEqual(ratio);
    expect(ratio).toBeLessThanOrEqual(high);
    expect(low).toBeGreaterThan(1);
  });

  it('sweeps batch sizes and thread counts', async () => {
    const { stdout } = await bench(small, ...quick, '--batch', '1,4', '--threads', '1,2', '--json');
    const { metrics } = JSON.parse(stdout);
    const points = metrics.sweep.map((p: { batch: number; threads: number }) => [
      p.batch,
      p.threads,
    ]);
    expect(points).toEqual([
      [1, 1],
      [1, 2],
      [4, 1],
      [4, 2],
    ]);
    for (const { batch, throughput_per_s: rate, latency_ms: latency } of metrics.sweep) {
      expect(rate).toBeCloseTo((batch * 1000) / latency.p50, 6);
    }
  });

  it('fixes the dimensions that --set names', async () => {
    const { stdout, stderr } = await bench(small, ...quick, '--set', 'batch=5', '--json');
    const { throughput_per_s: rate, latency_ms: latency } = JSON.parse(stdout).metrics;
    expect(rate).toBeCloseTo(5000 / latency.p50, 6);
    expect(stderr).toBe('');
  });

  it('shows the time by operator', async () => {
    const { stdout } = await bench(large, ...quick, '--profile', '--json');
    const { profile } = JSON.parse(stdout).metrics;
    const [matmul] = profile.operators;
    expect(matmul).toMatchObject({ op: 'MatMul', nodes: 8 });
    expect(profile.nodes[0].name).toMatch(/^layer\d/);
    const shares = profile.nodes.map((node: { share: number }) => node.share);
    expect(shares.reduce((a: number, b: number) => a + b, 0)).toBeCloseTo(1, 6);
    expect(profile.providers).toEqual([
      expect.objectContaining({ provider: 'CPUExecutionProvider' }),
    ]);
  });

  it('writes a Markdown table for comments', async () => {
    const report = join(folder, 'bench.md');
    const { code } = await bench(small, large, ...quick, '--report', report);
    expect(code).toBe(0);
    const text = readFileSync(report, 'utf8');
    expect(text).toMatch(/^# xform bench/);
    expect(text).toMatch(/\| small\.onnx \| 1 \|/);
    expect(text).toMatch(/\| large\.onnx \|.*\| slower \|/);
  });

  it('fails with 4 when a condition holds, and reports all the same', async () => {
    const met = await bench(small, ...quick, '--fail-if', 'latency_ms.p50>0', '--json');
    expect(met.code).toBe(4);
    const document = JSON.parse(met.stdout);
    expect(document.error).toMatchObject({ code: 'fail-if', where: small });
    expect(document.metrics.latency_ms.p50).toBeGreaterThan(0);
    const unmet = await bench(small, ...quick, '--fail-if', 'latency_ms.p50<0');
    expect(unmet.code).toBe(0);
    const ratio = await bench(small, large, ...quick, '--fail-if', 'ratio>1.5', '--json');
    expect(JSON.parse(ratio.stdout).error.where).toBe(large);
  });

  it('fails with 4 when slower than the baseline, not when faster', async () => {
    const slower = await bench(large, '--baseline', small, ...quick);
    expect(slower.code).toBe(4);
    expect(slower.stderr).toMatch(/"large\.onnx" takes .* times as long as "small\.onnx"/);
    expect((await bench(small, '--baseline', large, ...quick)).code).toBe(0);
  });

  it('feeds data, and takes the batch of a fixed model', async () => {
    const array = join(folder, 'x.npy');
    const head = `${`{'descr': '<f4', 'fortran_order': False, 'shape': (3, 16), }`.padEnd(117)}\n`;
    const magic = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length, 0]);
    writeFileSync(array, Buffer.concat([magic, Buffer.from(head), Buffer.alloc(3 * 16 * 4)]));
    const { code, stdout, stderr } = await bench(fixed, ...quick, '--data', array, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { throughput_per_s: rate, latency_ms: latency } = JSON.parse(stdout).metrics;
    expect(rate).toBeCloseTo(3000 / latency.p50, 6);
  });

  it('reads a model from standard input', async () => {
    const input = readFileSync(join(folder, small));
    const args = ['bench', '-', ...quick, '--provider', 'cpu', '--json'];
    const { code, stdout } = await xform(args, { cwd: folder, input });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).metrics.latency_ms.runs).toBe(12);
  });

  it.each([
    [['nowhere.onnx'], 3, /nowhere\.onnx/],
    [[fixed, '--batch', '2'], 2, /no open batch dimension/],
    [[small, '--set', 'bath=1'], 2, /no input has a dimension "bath"/],
    [[small, '--batch', '0'], 2, /"0" is not a value for --batch/],
    [[small, '--fail-if', 'p50'], 2, /"p50" is not a value for --fail-if/],
    [[small, ...quick, '--fail-if', 'latency_ms.p5>1'], 2, /no metric "latency_ms\.p5"/],
    [[], 2, /model/],
  ])('%j ends with %i', async (args, expected, text) => {
    const { code, stderr } = await bench(...args);
    expect(code).toBe(expected);
    expect(stderr).toMatch(text);
    expect(stderr).not.toMatch(/\n\s+at .*\.js/);
  });

  it('refuses a provider that does not run, with 5', async () => {
    const name = process.platform === 'darwin' ? 'dml' : 'coreml';
    const { code, stdout } = await xform(['bench', small, '--provider', name, '--json'], {
      cwd: folder,
    });
    expect(code).toBe(5);
    expect(JSON.parse(stdout).error.code).toBe('provider-not-built');
  });

  it('ends with 130 on Ctrl-C in the middle of native code', async () => {
    const { code, stderr } = await xform(
      ['bench', large, '--runs', '100000000', '--provider', 'cpu'],
      {
        cwd: folder,
        signalAfterMs: 1500,
      },
    );
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
  });
});
