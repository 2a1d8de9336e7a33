// Regression against scikit-learn (make_regress.py), all samples and a resample of them.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { Metrics } from '../../src/metrics/evaluation.ts';
import { naiveError, Regress } from '../../src/metrics/regress.ts';
import { expectMetrics } from '../helpers/metrics.ts';

interface Case {
  readonly name: string;
  readonly shape: [number, number];
  readonly predictions: number[];
  readonly targets: number[];
  readonly naive: number[] | null;
  readonly samples: number[];
  readonly expected: Metrics;
  readonly resampled: Metrics;
}

const CASES: Case[] = JSON.parse(readFileSync('test/metrics/regress.json', 'utf8'));

describe('regress', () => {
  it.each(CASES)('agrees with scikit-learn: $name', (given) => {
    const found = new Regress(given.naive ? { naiveErrors: given.naive } : {});
    const [rows, columns] = given.shape;
    const cut = 3 * columns;
    found.add(given.predictions.slice(0, cut), [3, columns], given.targets.slice(0, cut));
    found.add(given.predictions.slice(cut), [rows - 3, columns], given.targets.slice(cut));
    const evaluation = found.finish();
    expect(evaluation.count).toBe(rows);
    expectMetrics(evaluation.compute(), given.expected, 1e-9);
    expectMetrics(evaluation.compute(given.samples), given.resampled, 1e-9);
  });

  it('takes the error of the seasonal naive forecast as unit', () => {
    expect(naiveError([1, 2, 4, 7])).toBe(2);
    expect(naiveError([1, 5, 2, 7], 2)).toBe(1.5);
  });

  it('refuses what does not fit', () => {
    expect(() => new Regress().add([1, 2], [2, 1], [1])).toThrow('cannot score');
    expect(new Regress().finish().compute()).toEqual({});
  });
});
