import { expect, describe as group, it } from '@jest/globals';
import { compareRuns, describe, median, quantile } from '../../src/runtime/statistics.ts';
import { Random } from '../../src/tensor/random.ts';

/** Skewed like timings: a floor and a long tail. The median of exp(N(0, 0.3)) is 1. */
function timings(random: Random, count: number, scale = 1): number[] {
  return Array.from({ length: count }, () => scale * (5 + Math.exp(0.3 * random.normal())));
}

group('quantile', () => {
  it('interpolates as NumPy does', () => {
    // numpy.quantile([1, 2, 3, 4], [0.5, 0.9, 0.99]) and numpy.quantile([7], 0.9)
    const sorted = Float64Array.of(1, 2, 3, 4);
    expect(quantile(sorted, 0.5)).toBe(2.5);
    expect(quantile(sorted, 0.9)).toBeCloseTo(3.7, 12);
    expect(quantile(sorted, 0.99)).toBeCloseTo(3.97, 12);
    expect(quantile(Float64Array.of(7), 0.9)).toBe(7);
    expect(median([3, 1, 2])).toBe(2);
  });
});

group('describe', () => {
  it('covers the true median in about 95 of 100 experiments', () => {
    const random = new Random(3, 'coverage');
    let covered = 0;
    for (let i = 0; i < 200; i++) {
      const { p50_low, p50_high } = describe(timings(random, 60), i);
      if (p50_low <= 6 && 6 <= p50_high) covered += 1;
    }
    // Binomial(200, 0.95): 99.9 % of outcomes lie in 179 … 199.
    expect(covered).toBeGreaterThanOrEqual(179);
    expect(covered).toBeLessThan(200);
  });

  it('orders its figures', () => {
    const d = describe(timings(new Random(1, 'order'), 100));
    const order = [d.min, d.p50_low, d.p50, d.p50_high, d.p90, d.p99, d.max];
    expect([...order].sort((a, b) => a - b)).toEqual(order);
    expect(d.runs).toBe(100);
  });
});

group('compareRuns', () => {
  it('covers the true ratio, also when both drift together', () => {
    const random = new Random(5, 'ratio');
    let covered = 0;
    for (let i = 0; i < 100; i++) {
      const drift = Array.from({ length: 80 }, (_, j) => (j < 40 ? 1 : 1.5));
      const a = timings(random, 80).map((t, j) => t * (drift[j] ?? 1));
      const b = timings(random, 80, 1.2).map((t, j) => t * (drift[j] ?? 1));
      const { low, high } = compareRuns(a, b, i);
      if (low <= 1.2 && 1.2 <= high) covered += 1;
    }
    expect(covered).toBeGreaterThanOrEqual(87);
  });

  it('tells a real difference from none', () => {
    const random = new Random(7, 'difference');
    const a = timings(random, 100);
    const same = compareRuns(a, timings(random, 100));
    const slower = compareRuns(a, timings(random, 100, 1.3));
    expect(same.low).toBeLessThan(1);
    expect(same.high).toBeGreaterThan(1);
    expect(slower.low).toBeGreaterThan(1.2);
    expect(slower.ratio).toBeCloseTo(1.3, 1);
  });
});
