import { describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { BOUNDARY } from '../../src/train/plan.ts';
import { type Case, steps } from './training.ts';

const linear = (batch: number) => `
g (float[${batch}, 2] x) => (float[${batch}, 1] y)
<float[2, 1] W = {0.5, -1}>
{
  y = MatMul(x, W)
}`;
const X = [1, 2, -1, 0.5, 3, -2, 0.25, 1];
const Y = [0.3, -0.7, 1.1, 0.2];

/** Feeds of `count` steps with `batch` samples each, of the first samples in turn. */
function feedsOf(count: number, batch: number): Map<string, Tensor> {
  const size = count * batch;
  return new Map([
    ['x', Tensor.of('float32', [count, batch, 2], X.slice(0, 2 * size))],
    ['target/labels', Tensor.of('float32', [count, batch, 1], Y.slice(0, size))],
  ]);
}

const weights = (found: ReadonlyMap<string, Float32Array>) => [...(found.get('W') ?? [])];

/** Gradient of the mean square error of a batch at W, by hand. */
function gradient(W: readonly number[], samples: readonly number[]): number[] {
  const sum = [0, 0];
  for (const i of samples) {
    const [a, b] = [X[2 * i] as number, X[2 * i + 1] as number];
    const error = a * (W[0] as number) + b * (W[1] as number) - (Y[i] as number);
    sum[0] = (sum[0] as number) + (2 * error * a) / samples.length;
    sum[1] = (sum[1] as number) + (2 * error * b) / samples.length;
  }
  return sum;
}

const plain = { settings: { momentum: 0 } } satisfies Partial<Case>;

describe('a training step', () => {
  it('goes down the gradient, step after step', async () => {
    const found = await steps({ text: linear(2), ...plain }, feedsOf(2, 2), [0.1, 0.05]);
    let W = [0.5, -1];
    for (const [samples, rate] of [
      [[0, 1], 0.1],
      [[2, 3], 0.05],
    ] as const) {
      const g = gradient(W, samples);
      W = W.map((value, i) => value - rate * (g[i] as number));
    }
    weights(found).forEach((value, i) => void expect(value).toBeCloseTo(W[i] as number, 6));
  });

  it('averages accumulated gradients as one large batch has them', async () => {
    const whole = await steps({ text: linear(4), ...plain }, feedsOf(1, 4), [0.1]);
    const feeds = feedsOf(2, 2).set(BOUNDARY, Tensor.fromBytes('bool', [2], Uint8Array.of(0, 1)));
    const parts = { text: linear(2), ...plain, plan: { accumulate: 2 } };
    const found = await steps(parts, feeds, [0.1, 0.1]);
    weights(found).forEach(
      (value, i) => void expect(value).toBeCloseTo(weights(whole)[i] as number, 6),
    );
    expect([...(found.get('#updates') ?? [])]).toEqual([1]);
  });

  it('clips the norm of all gradients', async () => {
    const free = await steps({ text: linear(4), ...plain }, feedsOf(1, 4), [1]);
    const one = { text: linear(4), ...plain, plan: { clipNorm: 0.01 } };
    const clipped = await steps(one, feedsOf(1, 4), [1]);
    const norm = Math.hypot(...gradient([0.5, -1], [0, 1, 2, 3]));
    expect(free.get('report:gradient_norm')?.[0]).toBeCloseTo(norm, 4);
    const moved = weights(clipped).map((value, i) => value - ([0.5, -1][i] as number));
    expect(Math.hypot(...moved)).toBeCloseTo(0.01, 5);
  });

  it('clips each element', async () => {
    const one = { text: linear(4), ...plain, plan: { clipValue: 0.02 } };
    const found = await steps(one, feedsOf(1, 4), [1]);
    const moved = weights(found).map((value, i) => Math.abs(value - ([0.5, -1][i] as number)));
    for (const distance of moved) expect(distance).toBeCloseTo(0.02, 5);
  });

  it('leaves everything as it was where the loss is no number', async () => {
    const feeds = feedsOf(2, 2);
    const broken = Float32Array.from(X);
    broken[5] = Number.NaN;
    feeds.set('x', Tensor.of('float32', [2, 2, 2], broken));
    const found = await steps({ text: linear(2), optimizer: 'adamw' }, feeds, [0.1, 0.1]);
    const first = await steps({ text: linear(2), optimizer: 'adamw' }, feedsOf(1, 2), [0.1]);
    expect(weights(found)).toEqual(weights(first));
    expect([...(found.get('W#v') ?? [])]).toEqual([...(first.get('W#v') ?? [])]);
    expect(found.get('report:loss')?.[1]).toBeNaN();
  });

  it('carries a moving average of the weights', async () => {
    const one = { text: linear(2), ...plain, plan: { averaging: 0.9 } };
    const found = await steps(one, feedsOf(1, 2), [0.1]);
    const now = weights(found);
    const average = [...(found.get('W#average') ?? [])];
    average.forEach((value, i) => {
      expect(value).toBeCloseTo(0.9 * ([0.5, -1][i] as number) + 0.1 * (now[i] as number), 6);
    });
  });
});
