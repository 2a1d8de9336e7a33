// Metrics beside reference values: the same names, the same numbers.

import { expect } from '@jest/globals';
import type { Metrics } from '../../src/metrics/evaluation.ts';

/** Every expected metric is there, within `tolerance`, and no other one is. */
export function expectMetrics(found: Metrics, expected: Metrics, tolerance = 1e-7): void {
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  const far = Object.keys(expected).filter((name) => {
    return !(Math.abs((found[name] ?? Number.NaN) - (expected[name] ?? 0)) <= tolerance);
  });
  expect(far.map((name) => `${name}: ${found[name]}, not ${expected[name]}`)).toEqual([]);
}
