// Structured pruning of the architectures of `init`: what can be cut, and that the cut is exact.

import { describe, expect, it } from '@jest/globals';
import { architectureNamed, type Choices } from '../../../src/archs/index.ts';
import type { Model } from '../../../src/graph/index.ts';
import { decodeModel, encodeModel } from '../../../src/onnx/index.ts';
import { coverageOf } from '../../../src/passes/prune/coverage.ts';
import { findGroups } from '../../../src/passes/prune/group.ts';
import { randomFeeds } from '../../helpers/rewriting.ts';
import { differ, elementCount, expectExact, run } from './exactness.ts';
import { chooseRandomly } from './masked.ts';

/** As a file holds it: new weights exist only once they are written. */
async function architecture(name: string, choices: Partial<Choices>): Promise<Model> {
  return decodeModel(await encodeModel(architectureNamed(name).build(choices, 0)));
}

const small = { hidden: [32], layers: 2, heads: 4 };

describe.each<[string, Partial<Choices>]>([
  ['resnet18', { in: [3, 32, 32], width: 8 }],
  ['resnet50', { in: [3, 32, 32], width: 8 }],
  ['mobilenetv2', { in: [3, 32, 32] }],
  ['cnn', {}],
  ['mlp', {}],
  ['lstm', {}],
  ['vit', { ...small, mlpDim: 64, in: [3, 32, 32], patch: 8 }],
  ['bert', { ...small, vocab: 50, mlpDim: 64 }],
  ['gpt', { ...small, vocab: 50 }],
])('%s', (name, choices) => {
  it('lies in groups that can be cut, but for what makes an output', async () => {
    const { elements, covered, exact } = coverageOf(await architecture(name, choices));
    expect(elements).toBeGreaterThan(0);
    expect(exact).toBeLessThanOrEqual(covered);
    // The pooler of this small BERT is 6 % of it; of the whole one, 0.7 %.
    expect(covered / elements).toBeGreaterThan(name === 'bert' ? 0.93 : 0.95);
  });

  it.each([0.3, 0.5])('loses %f of its units and computes the same', async (amount) => {
    const model = await architecture(name, choices);
    const { groups } = findGroups(model);
    expect(groups.length).toBeGreaterThan(0);
    const chosen = chooseRandomly(groups, amount);
    expect(chosen.length).toBeGreaterThan(0);
    const feeds = randomFeeds(model, { batch: 2, seq: 7 });
    const pruned = await expectExact(model, feeds, chosen);
    expect(elementCount(pruned)).toBeLessThan(elementCount(model));
    expect(differ(await run(model, feeds), await run(pruned, feeds))).toBe(true);
  });
});
