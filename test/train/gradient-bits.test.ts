import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { steps } from './training.ts';

const SIZE = 64;
const STEPS = 200;
const weights = Array.from({ length: SIZE }, (_, i) => Math.sin(i));
// The gradient at W is 2 (W - target) / SIZE; with rate 0 it stays what it is.
const text = `
g (float[1, 1] x) => (float[1, ${SIZE}] y) <float[1, ${SIZE}] W = {${weights}}> { y = MatMul(x, W) }`;
const feeds = new Map([
  ['x', Tensor.of('float32', [STEPS, 1, 1], new Float32Array(STEPS).fill(1))],
  ['target/labels', Tensor.of('float32', [STEPS, 1, SIZE], new Float32Array(STEPS * SIZE))],
]);

describe('gradients in few bits', () => {
  it.each([8, 4])('of %d bits: what was sent and what is left add up to all', async (bits) => {
    // Momentum 1 at rate 0 sums the gradients that the optimiser saw.
    const one = { text, settings: { momentum: 1 }, plan: { gradientBits: bits } };
    const found = await steps(one, feeds, new Array<number>(STEPS).fill(0));
    const [sent, left] = [found.get('W#m'), found.get('W#residue')];
    const largest = Math.max(...weights.map((w) => (2 * Math.abs(w)) / SIZE));
    const step = largest / (2 ** (bits - 1) - 1);
    weights.forEach((w, i) => {
      const all = (STEPS * 2 * w) / SIZE;
      expect((sent?.[i] as number) + (left?.[i] as number)).toBeCloseTo(all, 3);
      expect(Math.abs(left?.[i] as number)).toBeLessThan(2.5 * step);
    });
    expect(left?.some((value) => value !== 0)).toBe(true);
  });
});
