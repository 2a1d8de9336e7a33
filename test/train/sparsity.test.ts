import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { DROP, PRUNE, SPARSITY } from '../../src/train/plan.ts';
import { type SparsityRule, sparsityAt } from '../../src/train/sparsity.ts';
import { steps } from './training.ts';

// The output is the weight itself, the gradient of the loss Σ (w - t)² / 4 is (w - t) / 2.
const text = `
g (float[1, 1] x) => (float[1, 4] y) <float[1, 4] W = {0.1, -0.9, 0.5, -0.3}> { y = MatMul(x, W) }`;

async function pruned(rule: SparsityRule, target: number[], sparsity: number, drop = 0) {
  const scalar = (name: string, value: number) =>
    [name, Tensor.of('float32', [1], [value])] as const;
  const feeds = new Map([
    ['x', Tensor.of('float32', [1, 1, 1], [1])],
    ['target/labels', Tensor.of('float32', [1, 1, 4], target)],
    scalar(SPARSITY, sparsity),
    scalar(DROP, drop),
    [PRUNE, Tensor.fromBytes('bool', [1], Uint8Array.of(1))],
  ]);
  const plan = { sparsity: { rule, applies: () => true } };
  const found = await steps({ text, settings: { momentum: 0 }, plan }, feeds, [0.01]);
  return { mask: [...(found.get('W#mask') ?? [])], W: [...(found.get('W') ?? [])] };
}

describe('zeros while training', () => {
  it('magnitude: the smallest weights go, and are exactly zero', async () => {
    const { mask, W } = await pruned('magnitude', [0, 0, 0, 0], 0.5);
    expect(mask).toEqual([0, 1, 1, 0]);
    expect(Math.abs(W[0] as number)).toBe(0);
    expect(Math.abs(W[3] as number)).toBe(0);
    expect(W[1]).not.toBe(0);
  });

  it('movement: those go that gradients push to zero', async () => {
    // -w·g: pushed away from zero are 0.1 (to 5) and -0.3 (to -5), towards it the large ones.
    const { mask } = await pruned('movement', [5, 0, 0, -5], 0.5);
    expect(mask).toEqual([1, 0, 0, 1]);
  });

  it('rigl: half of what is kept goes to where gradients are largest', async () => {
    // Two weights are kept: -0.9 by its size, and one by its gradient: 0.1, whose target is far.
    const { mask } = await pruned('rigl', [9, -0.9, 0.5, -0.3], 0.5, 0.5);
    expect(mask).toEqual([1, 1, 0, 0]);
  });

  it('become more by the cubic schedule, and are what was asked at the end', () => {
    const s = { rule: 'magnitude', final: 0.8, begin: 10, end: 110, every: 20 } as const;
    expect(sparsityAt(s, 0)).toMatchObject({ sparsity: 0, prune: false });
    expect(sparsityAt(s, 60).sparsity).toBeCloseTo(0.8 * (1 - 0.125), 9);
    expect([10, 30, 35, 110, 111, 130].map((update) => sparsityAt(s, update).prune)).toEqual([
      ...[true, true, false, true, false, false],
    ]);
    expect(sparsityAt(s, 500).sparsity).toBe(0.8);
  });
});
