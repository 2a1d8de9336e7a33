import { describe, expect, it } from '@jest/globals';
import { courseAt, rateAt, SCHEDULES } from '../../src/train/schedule.ts';

const settings = { peak: 0.1, steps: 100, warmup: 0, floor: 0, every: 30, factor: 0.1 };

describe('schedules', () => {
  it('warm up linearly to the peak', () => {
    const rates = [0, 4, 9, 10].map((step) =>
      rateAt('constant', step, { ...settings, warmup: 10 }),
    );
    [0.01, 0.05, 0.1, 0.1].forEach((rate, i) => void expect(rates[i]).toBeCloseTo(rate, 9));
  });

  it.each([
    ['linear', 50, 0.05],
    ['cosine', 25, 0.1 * (0.5 + Math.SQRT1_2 / 2)],
    ['cosine', 50, 0.05],
    ['cosine', 100, 0],
    ['step', 29, 0.1],
    ['step', 30, 0.01],
    ['step', 95, 0.0001],
    ['plateau', 99, 0.1],
  ] as const)('%s at step %d is %d', (name, step, rate) => {
    expect(rateAt(name, step, settings)).toBeCloseTo(rate, 9);
  });

  // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=100)
  it.each([
    [0, 0.004],
    [10, 0.0295163948],
    [29, 0.1],
    [50, 0.0793893451],
    [99, 4e-7],
  ])('onecycle at step %d is PyTorch’s %d', (step, rate) => {
    expect(rateAt('onecycle', step, settings)).toBeCloseTo(rate, 6);
  });

  it('never leave the range from 0 to the peak', () => {
    for (const name of Object.keys(SCHEDULES) as (keyof typeof SCHEDULES)[]) {
      for (let step = 0; step < 100; step++) {
        const rate = rateAt(name, step, { ...settings, warmup: 7 });
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThanOrEqual(0.1 + 1e-12);
      }
    }
  });
});

describe('courses', () => {
  it.each([
    ['linear', 0, 8],
    ['linear', 5, 4.5],
    ['linear', 10, 1],
    ['cosine', 0, 8],
    ['cosine', 5, 4.5],
    ['cosine', 2, 1 + 3.5 * (1 + Math.cos(Math.PI / 5))],
    ['cosine', 10, 1],
    ['linear', 12, 1],
  ] as const)('%s at step %d of 11 is %d', (shape, step, value) => {
    expect(courseAt({ from: 8, to: 1, shape }, step, 11)).toBeCloseTo(value, 9);
  });

  it('of a single step are at their beginning', () => {
    expect(courseAt({ from: 8, to: 1, shape: 'linear' }, 0, 1)).toBe(8);
  });
});
