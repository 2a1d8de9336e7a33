import { describe, expect, it } from '@jest/globals';
import { Histogram } from '../../src/calibrate/histogram.ts';
import { type Method, rangeOf } from '../../src/calibrate/methods.ts';
import { Observer } from '../../src/calibrate/observer.ts';
import { affineOf, integerRange, roundHalfEven } from '../../src/tensor/affine.ts';
import { Random } from '../../src/tensor/random.ts';

/** Normal numbers with a few far outside. */
function samples(count: number, seed = 0): Float32Array {
  const random = new Random(seed, 'samples');
  return Float32Array.from({ length: count }, (_, i) =>
    i % 997 === 0 ? 40 * random.normal() : random.normal(),
  );
}

function observed(batches: readonly Float32Array[]): Observer {
  const observer = new Observer(true);
  for (const batch of batches) observer.add(batch);
  return observer;
}

const range = (observer: Observer, method: Method, percentile = 99.9) =>
  rangeOf(observer, { method, percentile, bits: 8 });

/** Mean squared error of uint8 rounding with the scale of a range. */
function error(values: Float32Array, covered: { min: number; max: number }): number {
  const options = { type: 'uint8', symmetric: false } as const;
  const { scale, zeroPoint } = affineOf(covered, options);
  const { min, max } = integerRange(options);
  let sum = 0;
  for (const value of values) {
    const code = Math.min(max, Math.max(min, roundHalfEven(value / scale) + zeroPoint));
    sum += ((code - zeroPoint) * scale - value) ** 2;
  }
  return sum / values.length;
}

describe('the histogram of a stream', () => {
  it('grows with the data, loses nothing, and does not depend on the order', () => {
    const [small, large] = [samples(5000, 1), samples(5000, 2).map((x) => 100 * x)];
    const [a, b] = [observed([small, large]), observed([large, small])];
    const counts = (o: Observer) => Array.from(o.histogram?.counts ?? []);
    expect(counts(a).reduce((sum, n) => sum + n, 0)).toBe(10000);
    expect(counts(a)).toEqual(counts(b));
    expect(a.histogram?.limit).toBe(b.histogram?.limit);
  });

  it('comes back as it was from what it saves', () => {
    const before = observed([samples(1000)]);
    const after = Observer.load(JSON.parse(JSON.stringify(before.save())));
    after.add(samples(100, 5));
    before.add(samples(100, 5));
    expect(after.save()).toEqual(before.save());
  });

  it('holds values at the very edge of a power of two, and constants', () => {
    const histogram = new Histogram();
    histogram.add([1, -1, 2, -2, 0.5], 2);
    expect(histogram.counts.reduce((sum, n) => sum + n, 0)).toBe(5);
    const zeros = new Observer(true);
    zeros.add(new Float32Array(8));
    expect(range(zeros, 'entropy')).toEqual({ min: 0, max: 0 });
  });
});

describe('ranges', () => {
  const values = samples(200_000);
  const seen = observed([values.subarray(0, 50_000), values.subarray(50_000)]);
  const sorted = Float32Array.from(values).sort();

  it('minmax is exact', () => {
    expect(range(seen, 'minmax')).toEqual({ min: sorted[0], max: sorted.at(-1) });
  });

  it('percentile cuts half of the rest on each side, as close as a bin is wide', () => {
    const found = range(seen, 'percentile', 99);
    const width = seen.histogram?.width ?? 0;
    const at = (q: number) => sorted[Math.floor(q * sorted.length)] ?? 0;
    expect(Math.abs(found.min - at(0.005))).toBeLessThan(2 * width);
    expect(Math.abs(found.max - at(0.995))).toBeLessThan(2 * width);
  });

  it.each(['mse', 'entropy', 'percentile'] as const)('%s cuts outliers off', (method) => {
    const found = range(seen, method);
    const full = range(seen, 'minmax');
    expect(found.max).toBeLessThan(full.max);
    expect(found.min).toBeGreaterThan(full.min);
    expect(found.max).toBeGreaterThan(1);
  });

  it('mse has less error than any range near it, and than the full one', () => {
    const best = range(seen, 'mse');
    const least = error(values, best);
    expect(least).toBeLessThan(error(values, range(seen, 'minmax')));
    for (const factor of [0.5, 0.7, 1.5, 2]) {
      const other = { min: best.min * factor, max: best.max * factor };
      expect(least).toBeLessThan(error(values, other) * 1.02);
    }
  });

  it('moving averages follow the batches', () => {
    const observer = new Observer(false);
    for (const peak of [1, 1, 11]) observer.add([0, peak]);
    expect(range(observer, 'moving-average').max).toBeCloseTo(1 + 0.01 * 10);
  });

  it('NaN and infinity are refused', () => {
    const observer = new Observer(true);
    expect(observer.add([1, Number.NaN])).toBe(false);
    expect(observer.add([1, Number.POSITIVE_INFINITY])).toBe(false);
    expect(observer.isEmpty).toBe(true);
  });
});
