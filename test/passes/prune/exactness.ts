// The test of the surgery: a pruned graph computes what the original computes when every operator that
// sums over a removed position finds zero there.

import { expect } from '@jest/globals';
import { checkModel, type Model } from '../../../src/graph/index.ts';
import type { Choice } from '../../../src/passes/prune/cut.ts';
import { cutCopy } from '../../../src/passes/prune/translate.ts';
import { COMPARABLE, createRunner } from '../../../src/runtime/runner.ts';
import { compareTensors } from '../../../src/tensor/compare.ts';
import type { Feeds } from '../../../src/tensor/feeds.ts';
import { masked } from './masked.ts';

export const run = createRunner({ ...COMPARABLE, optimization: 'disabled' });

/** Cuts a copy and compares; returns the copy. */
export async function expectExact(
  model: Model,
  feeds: Feeds,
  choices: readonly Choice[],
): Promise<Model> {
  const pruned = cutCopy(model, choices);
  expect(checkModel(pruned)).toEqual([]);
  const reference = masked(model, choices);
  const [expected, actual] = [await run(reference, feeds), await run(pruned, feeds)];
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    expect([name, other?.shape]).toEqual([name, tensor.shape]);
    if (!other) continue;
    // Sums of fewer terms are added in another order: no more than that may differ.
    const { problem, nonFinite, relNorm } = compareTensors(tensor, other, { rtol: 0, atol: 0 });
    expect([name, problem, nonFinite]).toEqual([name, undefined, 0]);
    expect([name, relNorm < 1e-4]).toEqual([name, true]);
  }
  return pruned;
}

/** Elements of all initializers. */
export function elementCount(model: Model): number {
  let count = 0;
  for (const value of model.graph.initializers) count += value.data?.size ?? 0;
  return count;
}

/** Whether results differ by more than rounding. */
export function differ(before: Feeds, after: Feeds): boolean {
  return [...before].some(([name, tensor]) => {
    const other = after.get(name);
    return !other || compareTensors(tensor, other, { rtol: 0, atol: 0 }).relNorm > 1e-3;
  });
}
