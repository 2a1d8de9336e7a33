import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { CalibrationCache } from '../../src/calibrate/cache.ts';
import { type CalibratorOptions, makeCalibration } from '../../src/calibrate/calibrator.ts';
import { COMPARABLE } from '../../src/runtime/runner.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { parseModel } from '../helpers/parse.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MODEL = `g (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = random> {
  h = MatMul(x, w)
  y = Relu(h)
}`;

function batch(index: number, rows: number): Feeds {
  const random = new Random(index, 'batch');
  const values = Float32Array.from({ length: 4 * rows }, () => random.normal());
  return new Map([['x', Tensor.of('float32', [rows, 4], values)]]);
}

/** Ragged: each batch has its own number of rows. */
async function* batches(count = 12, failAt = Infinity): AsyncIterable<Feeds> {
  for (let i = 0; i < count; i++) {
    if (i === failAt) throw new Error('stopped');
    yield batch(i, 1 + (i % 5));
  }
}

function calibrationOf(more: Partial<CalibratorOptions> = {}) {
  return makeCalibration({
    data: 'test',
    batches: () => batches(),
    session: { ...COMPARABLE, threads: 1 },
    method: 'minmax',
    percentile: 99.9,
    bits: 8,
    ...more,
  });
}

describe('calibration', () => {
  it('finds the extremes of inputs and of inner values over ragged batches', async () => {
    const model = parseModel(MODEL);
    const found = await calibrationOf().ranges(model, ['x', 'h', 'y']);
    const all: number[] = [];
    await calibrationOf().observe(
      model,
      ['h'],
      (_name, tensor) => void all.push(...tensor.numbers()),
    );
    expect(all.length).toBe(3 * [...Array(12).keys()].reduce((sum, i) => sum + 1 + (i % 5), 0));
    expect(found.get('h')).toEqual({ min: Math.min(...all), max: Math.max(...all) });
    expect(found.get('y')).toEqual({ min: 0, max: Math.max(...all) });
    expect(found.has('x')).toBe(true);
  });

  it('shows as many batches as asked for', async () => {
    const seen: number[] = [];
    const visit = (_name: string, _tensor: Tensor, index: number) => void seen.push(index);
    await calibrationOf().observe(parseModel(MODEL), ['h'], visit, 3);
    expect(seen).toEqual([0, 1, 2]);
  });

  it('names the value and its node where NaN turns up', async () => {
    const model = parseModel('g (float[N, 4] x) => (float[N, 4] y) { y = Sqrt(x) }');
    await expect(calibrationOf().ranges(model, ['y'])).rejects.toThrow('"y" holds NaN');
  });

  it('goes on where it stopped, to the same end, and then needs no data', async () => {
    const path = join(folder, 'cache.json');
    const stale: string[] = [];
    const cache = () => new CalibrationCache({ path, data: 'd', onStale: (p) => stale.push(p) });
    const options = { method: 'percentile' } as const;
    const model = parseModel(MODEL);
    const whole = await calibrationOf(options).ranges(model, ['h', 'y']);
    const first = cache();
    first.isDue = () => true;
    const broken = calibrationOf({ ...options, cache: first, batches: () => batches(12, 7) });
    await expect(broken.ranges(model, ['h', 'y'])).rejects.toThrow('stopped');
    const left = JSON.parse(readFileSync(path, 'utf8')) as { progress: { batches: number } };
    expect(left.progress.batches).toBeGreaterThan(0);
    expect(left.progress.batches).toBeLessThan(12);
    const resumed = calibrationOf({ ...options, cache: cache() });
    expect(await resumed.ranges(model, ['h', 'y'])).toEqual(whole);
    const unread = calibrationOf({ ...options, cache: cache(), batches: () => batches(12, 0) });
    expect(await unread.ranges(model, ['h', 'y'])).toEqual(whole);
    expect(stale).toEqual([]);
  });

  it('does not use what was made for other data or is no cache', async () => {
    const path = join(folder, 'other.json');
    const model = parseModel(MODEL);
    const stale: string[] = [];
    const cache = (data: string) =>
      new CalibrationCache({ path, data, onStale: (p) => stale.push(p) });
    writeFileSync(path, 'not a cache');
    await calibrationOf({ cache: cache('one') }).ranges(model, ['h']);
    await calibrationOf({ cache: cache('two') }).ranges(model, ['h']);
    expect(stale).toEqual([path, path]);
  });
});
