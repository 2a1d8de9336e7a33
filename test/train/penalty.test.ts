import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { shrinkAt } from '../../src/train/penalty.ts';
import { SHRINK } from '../../src/train/plan.ts';
import { initialState } from '../../src/train/trainer.ts';
import { graphOf, steps } from './training.ts';

const START = [0.1, -0.9, 0.5, -0.3];
const text = `
g (float[1, 1] x) => (float[1, 4] y) <float[1, 4] W = {${START}}> { y = MatMul(x, W) }`;

async function penalised(shares: number[], rate: number) {
  const count = shares.length;
  const feeds = new Map([
    ['x', Tensor.of('float32', [count, 1, 1], new Float32Array(count).fill(1))],
    ['target/labels', Tensor.of('float32', [count, 1, 4], new Float32Array(4 * count).fill(1))],
    ['W#penalty', Tensor.of('float32', [1, 4], [0, 1, 0, 1])],
    [SHRINK, Tensor.of('float32', [count], shares)],
  ]);
  const one = { text, settings: { momentum: 0 }, plan: { penalises: true } };
  expect([...initialState(graphOf(one)).keys()]).toContain('W#penalty');
  const rates = new Array<number>(count).fill(rate);
  return [...((await steps(one, feeds, rates)).get('W') ?? [])];
}

describe('a penalty that grows', () => {
  it('takes its share of what is penalised, after the optimiser, and of nothing else', async () => {
    // The gradient is (w - 1) / 2.
    const moved = START.map((w) => w - 0.2 * ((w - 1) / 2));
    const wanted = moved.map((w, i) => (i % 2 === 1 ? w * 0.75 : w));
    const found = await penalised([0.25], 0.2);
    found.forEach((w, i) => void expect(w).toBeCloseTo(wanted[i] as number, 6));
  });

  it('leaves exactly zero at the end, whatever the gradient says', async () => {
    const [a, b, c, d] = await penalised([0.1, 0.4, 1], 0.5);
    expect([Math.abs(b as number), Math.abs(d as number)]).toEqual([0, 0]);
    expect(a).toBeGreaterThan(0.3);
    expect(c).toBeGreaterThan(0.6);
  });

  it('grows from nothing to half, then takes all', () => {
    const s = { final: 0.5, begin: 10, end: 110 };
    const shares = Array.from({ length: 120 }, (_, update) => shrinkAt(s, update));
    expect(shares.slice(0, 10).every((share) => share === 0)).toBe(true);
    expect(shares[109]).toBe(0.5);
    expect(shares.slice(110).every((share) => share === 1)).toBe(true);
    shares.slice(1).forEach((share, i) => {
      expect(share).toBeGreaterThanOrEqual(shares[i] as number);
    });
  });
});
