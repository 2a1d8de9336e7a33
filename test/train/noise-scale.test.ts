import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { BOUNDARY } from '../../src/train/plan.ts';
import { steps } from './training.ts';

// The output is the weight itself, the gradient of the loss Σ (w - t)² / 4 is (w - t) / 2.
const START = [0.1, -0.9, 0.5, -0.3];
const text = `
g (float[1, 1] x) => (float[1, 4] y) <float[1, 4] W = {${START}}> { y = MatMul(x, W) }`;
const S = 3;
const UPDATES = 5;
const RATE = 0.2;

function targets(spread: number): number[] {
  return Array.from({ length: S * UPDATES * 4 }, (_, i) => 1 + spread * Math.sin(7.3 * i * i));
}

async function run(target: number[], optimizer = 'sgd', adapts = true) {
  const count = S * UPDATES;
  const boundary = Uint8Array.from({ length: count }, (_, i) => +((i + 1) % S === 0));
  const feeds = new Map([
    ['x', Tensor.of('float32', [count, 1, 1], new Float32Array(count).fill(1))],
    ['target/labels', Tensor.of('float32', [count, 1, 4], target)],
    [BOUNDARY, Tensor.fromBytes('bool', [count], boundary)],
  ]);
  const plan = { accumulate: S, adapts, samples: 8 };
  const one = { text, optimizer, settings: { momentum: 0 }, plan };
  return steps(one, feeds, new Array<number>(count).fill(RATE));
}

/** The formulas of AdaScale's paper, over whole updates. */
function reference(target: number[]) {
  let [variance, signal, scale] = [0, 0, 0];
  let w = [...START];
  const gains: number[] = [];
  const theta = Math.max(1 - S / 1000, 0);
  for (let update = 0; update < UPDATES; update++) {
    const gradients = [0, 1, 2].map((k) =>
      w.map((value, j) => (value - (target[(update * S + k) * 4 + j] as number)) / 2),
    );
    const mean = w.map((_, j) => gradients.reduce((sum, g) => sum + (g[j] as number), 0) / S);
    const square = (v: readonly number[]) => v.reduce((sum, x) => sum + x * x, 0);
    const squares = gradients.reduce((sum, g) => sum + square(g), 0);
    const own = squares / (S - 1) - (S / (S - 1)) * square(mean);
    variance = theta * variance + (1 - theta) * own;
    signal = theta * signal + (1 - theta) * (square(mean) - own / S);
    const gain = (variance + signal) / (variance / S + signal);
    scale = (8 * variance) / signal;
    gains.push(gain);
    w = w.map((value, j) => value - RATE * gain * (mean[j] as number));
  }
  return { w, gains, scale };
}

describe('rates by the noise of gradients', () => {
  it('move weights as the formulas of the paper do', async () => {
    const target = targets(0.8);
    const found = await run(target);
    const { w, gains, scale } = reference(target);
    found.get('W')?.forEach((value, i) => void expect(value).toBeCloseTo(w[i] as number, 5));
    const ends = (name: string) => found.get(`report:${name}`)?.filter((_, i) => i % S === S - 1);
    ends('gain')?.forEach((gain, i) => void expect(gain).toBeCloseTo(gains[i] as number, 4));
    const [sum, count] = ['noise_scale', 'noise_scale#count'].map((name) => ends(name)?.at(-1));
    expect((sum as number) / (count as number)).toBeCloseTo(scale, 3);
  });

  it('are those of the schedule where batches agree, and S times those where they do not', async () => {
    const same = await run(targets(0));
    expect(same.get('report:gain')?.at(-1)).toBeCloseTo(1, 4);
    const plain = await run(targets(0), 'sgd', false);
    expect(same.get('W')?.[0]).toBeCloseTo(plain.get('W')?.[0] as number, 5);
    const wild = await run(targets(1000));
    expect(wild.get('report:gain')?.at(-1)).toBeGreaterThan(0.8 * S);
  });

  it('grow by the root of the gain where steps have a size of their own', async () => {
    // Lion's steps are as long as the rate, whatever the gradient: all ways lead up to 1.
    const found = await run(targets(0.3), 'lion');
    const reported = [...(found.get('report:gain') ?? [])];
    const gains = reported.filter((_, i) => i % S === S - 1);
    const way = gains.reduce((sum, gain) => sum + RATE * Math.sqrt(gain), 0);
    const plain = await run(targets(0.3), 'lion', false);
    expect((plain.get('W')?.[1] as number) - (START[1] as number)).toBeCloseTo(UPDATES * RATE, 4);
    expect((found.get('W')?.[1] as number) - (START[1] as number)).toBeCloseTo(way, 4);
    expect(way).toBeGreaterThan(1.0001 * UPDATES * RATE);
  });
});
