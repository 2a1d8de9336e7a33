import { describe, expect, it } from '@jest/globals';
import { chooseRate, rangeRate } from '../../src/train/rate-range.ts';

const updates = (count: number) => Array.from({ length: count }, (_, i) => i);
/** The same in every run, from -1 to 1. */
const noise = (i: number) => Math.sin(i * 12.9898);

describe('a rate from a range test', () => {
  it('is that of the steepest fall, where the loss falls long after it', () => {
    // A step down by a logistic curve around update 50, lowest at 90, then straight up.
    const loss = (i: number) => 1 / (1 + Math.exp((i - 50) / 3)) + Math.max(0, i - 90) / 10;
    const { chosen, rule, steepest } = chooseRate(updates(95).map(loss));
    expect(rule).toBe('fall');
    expect(chosen).toBeCloseTo(steepest, 4);
    // The average of ten updates is behind by less than ten of them.
    expect(steepest).toBeGreaterThan(rangeRate(50));
    expect(steepest).toBeLessThan(rangeRate(60));
  });

  it('is a tenth of that of the lowest loss, where the fall goes on up to there', () => {
    const loss = (i: number) => 2 + 0.01 * noise(i) - (i < 70 ? 0 : (i - 70) ** 2 / 400);
    const { chosen, lowest } = chooseRate(updates(90).map(loss));
    expect(chosen).toBeCloseTo(lowest / 10, 2);
  });

  it('is a tenth of that at the end, where the loss only grows', () => {
    const loss = (i: number) => 0.02 + 0.01 * noise(i) + (i < 40 ? 0 : (i - 40) / 20);
    const { chosen, rule, end } = chooseRate(updates(60).map(loss));
    expect(rule).toBe('end');
    expect(end).toBe(rangeRate(59));
    expect(chosen).toBe(Number((end / 10).toPrecision(2)));
  });

  it('forgets losses that are no numbers, and is none where all are', () => {
    const losses = updates(60).map((i) => 3 - i / 30);
    const { chosen, curve } = chooseRate([...losses, Number.NaN, 1]);
    expect(curve).toHaveLength(60);
    expect(chosen).toBe(chooseRate(losses).chosen);
    expect(() => chooseRate([1, Number.POSITIVE_INFINITY])).toThrow(/no rate can be chosen/);
  });
});
