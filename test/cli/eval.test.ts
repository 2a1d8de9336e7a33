// `xform eval` as a user runs it: the tasks, the table, limits, and what it says of wrong use.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { encodeModel } from '../../src/onnx/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { xform } from '../helpers/cli.ts';
import { parseModel } from '../helpers/parse.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-eval-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DIGITS = 'fixtures/digits.onnx';
const TEST = ['--data', 'fixtures/digits-test.npz'];
const write = async (name: string, text: string) => {
  writeFileSync(at(name), await encodeModel(parseModel(text)));
};

async function judge(...args: string[]) {
  const run = await xform(['eval', ...args, '--json']);
  const report = JSON.parse(run.stdout);
  return { ...run, report, metrics: report.metrics };
}

describe('classify', () => {
  beforeAll(async () => {
    const prune = ['prune', DIGITS, '--amount', '0.5', '--no-repair', '-o', at('half.onnx')];
    expect((await xform(prune)).code).toBe(0);
  });

  it('says how good, how sure, how large, how fast', async () => {
    const { code, report, metrics } = await judge(DIGITS, ...TEST, '--resamples', '200');
    expect([code, report.warnings]).toEqual([0, []]);
    expect(metrics).toMatchObject({
      task: 'classify',
      samples: 360,
      bytes: 84050,
      parameters: 19962,
    });
    expect(metrics.accuracy).toBeCloseTo(359 / 360, 12);
    const { accuracy } = metrics.intervals;
    expect(accuracy.low).toBeLessThan(metrics.accuracy);
    expect(accuracy.high).toBe(1);
    const keys = ['top5', 'precision_macro', 'recall_macro', 'f1_macro', 'auroc', 'ece', 'loss'];
    for (const key of keys) expect(metrics[key]).toBeGreaterThan(0);
    for (const key of ['p50', 'p90', 'p99']) expect(metrics.latency_ms[key]).toBeGreaterThan(0);
    expect(metrics.peak_rss_bytes).toBeGreaterThan(1e6);
    expect(metrics.flops).toBeGreaterThan(1e6);
    const confusion: number[] = metrics.confusion;
    expect(confusion.filter((_, i) => i % 11 === 0).reduce((a, b) => a + b, 0)).toBe(359);
    expect(metrics.per_class).toHaveLength(10);
  });

  it('tells losses from noise, side by side, also in reports', async () => {
    const args = ['eval', DIGITS, DIGITS, at('half.onnx'), ...TEST, '--no-bench'];
    const report = at('report.md');
    const { code, stdout } = await xform([...args, '--resamples', '200', '--report', report]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/half\.onnx +accuracy +-0\.\d+ .* <0\.001 +worse/);
    expect(stdout).toMatch(/accuracy +\+0\.0000 .* 1\.000 +the same/);
    const markdown = readFileSync(report, 'utf8');
    expect(markdown).toMatch(/^\| half\.onnx \| 0\.\d+ \(0\.\d+ … 0\.\d+\) \|/m);
    expect((await xform([...args, '--resamples', '0', '--report', at('report.html')])).code).toBe(
      0,
    );
    expect(readFileSync(at('report.html'), 'utf8')).toContain('<td>half.onnx</td>');
  });

  it('ends with 4 where a model is worse than the baseline by more than allowed', async () => {
    const args = [
      at('half.onnx'),
      '--baseline',
      DIGITS,
      ...TEST,
      '--no-bench',
      '--resamples',
      '50',
    ];
    const worse = await judge(...args, '--max-drop', '1%');
    expect([worse.code, worse.report.error.code]).toEqual([4, 'max-drop']);
    const { mcnemar, differences } = worse.metrics[at('half.onnx')].against_baseline;
    expect(differences.accuracy.verdict).toBe('worse');
    expect(mcnemar.onlyA).toBeGreaterThan(mcnemar.onlyB);
    // Of a loss, more is worse.
    const loss = await judge(...args, '--max-drop', '0.01', '--metric', 'loss');
    expect([loss.code, loss.report.error.message]).toEqual([4, expect.stringContaining('loss of')]);
  });

  it('warns where the classes of the data are not those of the model', async () => {
    for (const name of ['cat', 'dog']) {
      mkdirSync(at(`two/${name}`), { recursive: true });
      const image = { create: { width: 8, height: 8, channels: 3, background: 'red' } } as const;
      await sharp(image).toFile(at(`two/${name}/a.png`));
    }
    const { code, report } = await judge(DIGITS, '--data', at('two'), '--no-bench');
    expect(code).toBe(0);
    expect(report.warnings).toMatchObject([{ code: 'classes-differ' }]);
    expect(report.warnings[0].message).toContain('2 classes, the model scores of 10');
  });
});

describe('numbers', () => {
  it('of a table, against what can be worked out by hand', async () => {
    await write(
      'sum.onnx',
      `g (float[n, 2] x) => (float[n, 1] y)
<float[2, 1] W = {1, 1}>
{
  y = MatMul(x, W)
}`,
    );
    writeFileSync(at('sums.csv'), 'a,b,total\n1,2,3\n2,2,5\n3,3,5\n1,0,2.5\n');
    const { code, metrics } = await judge(
      ...[at('sum.onnx'), '--data', at('sums.csv'), '--label', 'total', '--no-bench'],
    );
    expect([code, metrics.task]).toEqual([0, 'regress']);
    // Errors 0, -1, 1, -1.5; the targets have mean 3.875 and a sum of squares of 5.1875.
    expect(metrics.mae).toBeCloseTo(3.5 / 4, 6);
    expect(metrics.rmse).toBeCloseTo(Math.sqrt(4.25 / 4), 6);
    expect(metrics.r2).toBeCloseTo(1 - 4.25 / 5.1875, 6);
  });

  it('of language models, with bits per byte', async () => {
    await write(
      'even.onnx',
      `g (int64[n, 4] input_ids) => (float[n, 4, 256] logits)
<float[256, 256] E = {${Array.from({ length: 256 * 256 }, (_, i) => (i % 256 < 128 ? 0 : -99)).join()}}>
{
  logits = Gather(E, input_ids)
}`,
    );
    writeFileSync(at('text.txt'), 'abcdefghijkl');
    const { code, metrics } = await judge(
      ...[at('even.onnx'), '--data', at('text.txt'), '--tokenizer', 'byte', '--no-bench'],
    );
    expect([code, metrics.task, metrics.samples]).toEqual([0, 'lm', 3]);
    // 128 bytes are equally likely.
    expect(metrics.bits_per_byte).toBeCloseTo(7, 6);
    expect(metrics.perplexity).toBeCloseTo(128, 4);
  });
});

describe('detect', () => {
  /** Two boxes per image, one of them found: [1, 6] = left, top, right, bottom, score, class. */
  it('finds boxes of COCO annotations', async () => {
    const size = { width: 64, height: 32 };
    mkdirSync(at('images'));
    const image = { create: { ...size, channels: 3, background: 'blue' } } as const;
    for (const id of [1, 2]) await sharp(image).toFile(at(`images/${id}.png`));
    const box = (id: number, category_id: number, bbox: number[]) => {
      return {
        id,
        image_id: id,
        category_id,
        bbox,
        area: (bbox[2] ?? 0) * (bbox[3] ?? 0),
        iscrowd: 0,
      };
    };
    writeFileSync(
      at('instances.json'),
      JSON.stringify({
        images: [1, 2].map((id) => ({ id, file_name: `${id}.png`, ...size })),
        categories: [{ id: 7, name: 'thing' }],
        annotations: [box(1, 7, [8, 4, 16, 16]), box(2, 7, [40, 0, 16, 16])],
      }),
    );
    // As finished detectors give them, in pixels of a letterbox of 32: half of those of the image.
    await write(
      'finished.onnx',
      `g (float[1, 3, 32, 32] images) => (float[1, 2, 6] detections)
<float[1, 2, 6] found = {4, 2, 12, 10, 0.9, 0, 0, 0, 3, 3, 0.2, 0}, float[1] no = {0}>
{
  m = ReduceMean<axes = [1, 2, 3]>(images)
  z = Mul(m, no)
  f = Reshape(z, shape)
  detections = Add(found, f)
}`.replace('float[1] no = {0}', 'float[1] no = {0}, int64[3] shape = {1, 1, 1}'),
    );
    const { code, metrics } = await judge(
      ...[at('finished.onnx'), '--data', at('instances.json'), '--images', at('images')],
      ...['--decode', 'end2end', '--no-bench', '--resamples', '20'],
    );
    expect([code, metrics.task, metrics.samples]).toEqual([0, 'detect', 2]);
    // The surest detection is right in image 1 and wrong in image 2, with equal scores: half of the
    // recall at a precision of one. Sampled at 101 recalls from 0 to 0.5.
    expect(metrics.ap50).toBeCloseTo(51 / 101, 6);
    expect(metrics.recall).toBe(0.5);
    expect(metrics.precision).toBe(0.5);
  });
});

describe('wrong use', () => {
  const random = new Random(0, 'eval');
  const floats = (...shape: number[]) =>
    npyBytes(
      '<f4',
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform()),
    );

  it.each<[string, () => string[], number, string]>([
    ['no data', () => [DIGITS], 2, 'usage'],
    ['an unknown metric', () => [DIGITS, ...TEST, '--metric', 'acuracy'], 2, 'unknown-metric'],
    ['an unknown task', () => [DIGITS, ...TEST, '--task', 'guess'], 2, 'usage'],
    ['a baseline that is missing', () => [DIGITS, ...TEST, '--max-drop', '0.1'], 2, 'usage'],
    ['an output that is not there', () => [DIGITS, ...TEST, '--output', 'z'], 2, 'unknown-output'],
    ['no target', () => [DIGITS, '--data', at('bare.npz')], 3, 'no-target'],
    [
      'no boxes',
      () => [DIGITS, ...TEST, '--task', 'detect', '--decode', 'yolox'],
      3,
      'detection-head',
    ],
    ['numbers for classes', () => [DIGITS, ...TEST, '--task', 'regress'], 3, 'metrics-shape'],
    ['a file that is not there', () => [DIGITS, '--data', at('no.npz')], 3, 'data-not-found'],
  ])('%s', async (_, args, code, name) => {
    writeFileSync(at('bare.npz'), npzBytes({ image: floats(4, 1, 8, 8) }));
    const run = await judge(...args(), '--no-bench');
    expect([run.code, run.report.error.code]).toEqual([code, name]);
    expect(run.stderr).toMatch(/^error: /m);
  });
});
