import { describe, expect, it } from '@jest/globals';
import { Random } from '../../src/tensor/random.ts';

const take = (count: number, next: () => number) => Array.from({ length: count }, next);
const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;

describe('Random', () => {
  it('repeats for the same seed and purpose, and only then', () => {
    const first = (seed: number, purpose?: string) => {
      const random = new Random(seed, purpose);
      return take(8, () => random.bits());
    };
    expect(first(7, 'w')).toEqual(first(7, 'w'));
    const streams = [first(7, 'w'), first(8, 'w'), first(7, 'v'), first(7), first(78), first(0)];
    expect(new Set(streams.map(String)).size).toBe(streams.length);
  });

  it('is uniform over [0, 1)', () => {
    const random = new Random(1);
    const values = take(100_000, () => random.uniform());
    expect(Math.min(...values.slice(0, 50_000))).toBeGreaterThanOrEqual(0);
    expect(values.every((v) => v < 1)).toBe(true);
    // Chi-square over 100 bins; 99 degrees of freedom exceed 148 once in a thousand seeds.
    const bins = new Array<number>(100).fill(0);
    for (const v of values) bins[Math.floor(v * 100)] = (bins[Math.floor(v * 100)] ?? 0) + 1;
    expect(bins.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0)).toBeLessThan(148);
  });

  it('is standard normal', () => {
    const random = new Random(2);
    const values = take(100_000, () => random.normal());
    expect(Math.abs(mean(values))).toBeLessThan(0.015);
    expect(mean(values.map((v) => v * v))).toBeCloseTo(1, 1);
    const within = values.filter((v) => Math.abs(v) < 1).length / values.length;
    expect(within).toBeCloseTo(0.6827, 2);
  });

  it('draws again beyond two deviations', () => {
    const random = new Random(4);
    const values = take(50_000, () => random.truncatedNormal());
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(2);
    expect(Math.abs(mean(values))).toBeLessThan(0.02);
    // Variance of a normal distribution cut at 2: 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737.
    expect(mean(values.map((v) => v * v))).toBeCloseTo(0.774, 1);
  });

  it('permutes without losing anything', () => {
    const order = new Random(3).permutation(1000);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(order.filter((v, i) => v === i).length).toBeLessThan(20);
    expect(new Random(3).permutation(1000)).toEqual(order);
  });
});
