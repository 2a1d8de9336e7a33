// Losses between inner tensors, against ones that are calculated here, sample by sample, in double
// precision from their papers.

import { describe, expect, it } from '@jest/globals';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { FEATURE_LOSSES, type FeatureLossName } from '../../src/train/distillation.ts';
import { lossBetween } from './loss-between.ts';

const normal = (shape: readonly number[], seed: number) => {
  const random = new Random(seed, 'features');
  const size = shape.reduce((a, b) => a * b, 1);
  // Far from the origin, as features behind a Relu are.
  return Tensor.of(
    'float32',
    shape,
    Float32Array.from({ length: size }, () => 2 + random.normal()),
  );
};

const N = 4;
const rows = (tensor: Tensor) => {
  const values = tensor.numbers();
  const size = values.length / N;
  return Array.from({ length: N }, (_, n) => values.slice(n * size, (n + 1) * size));
};
const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
const less = (a: readonly number[], b: readonly number[]) => a.map((x, i) => x - (b[i] ?? 0));
const norm = (a: readonly number[]) => Math.sqrt(dot(a, a));
const unit = (a: readonly number[]) => a.map((x) => x / norm(a));
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const squares = (a: readonly number[], b: readonly number[]) => less(a, b).map((x) => x * x);
const huber = (x: number) => (Math.abs(x) < 1 ? 0.5 * x * x : Math.abs(x) - 0.5);

/** Σ_c x² of [C, H, W], of unit length. */
const attention = (sample: readonly number[], channels: number) => {
  const pixels = sample.length / channels;
  return unit(
    Array.from({ length: pixels }, (_, p) =>
      mean(Array.from({ length: channels }, (_, c) => (sample[c * pixels + p] ?? 0) ** 2)),
    ),
  );
};
const gram = (all: readonly number[][]) => all.map((a) => unit(all.map((b) => dot(a, b))));
const distances = (all: readonly number[][]) => {
  const found = all.flatMap((a) => all.map((b) => norm(less(a, b))));
  return found.map((d) => d / mean(found));
};
const angles = (all: readonly number[][]) =>
  all.flatMap((i, a) =>
    all.flatMap((j, b) =>
      all.map((k, c) => (b === a || c === a ? 0 : dot(unit(less(j, i)), unit(less(k, i))))),
    ),
  );

type Rows = readonly number[][];
const EXPECTED: Record<FeatureLossName, (s: Rows, t: Rows) => number> = {
  mse: (s, t) => mean(squares(s.flat(), t.flat())),
  cosine: (s, t) => 1 - mean(s.map((row, n) => dot(unit(row), unit(t[n] ?? [])))),
  attention: (s, t) => {
    const gaps = s.map((row, n) => squares(attention(row, 3), attention(t[n] ?? [], 5)));
    return mean(gaps.map((gap) => gap.reduce((a, b) => a + b, 0)));
  },
  similarity: (s, t) => mean(squares(gram(s).flat(), gram(t).flat())),
  relational: (s, t) =>
    mean(less(distances(s), distances(t)).map(huber)) +
    2 * mean(less(angles(s), angles(t)).map(huber)),
};

describe('losses between inner tensors', () => {
  it.each(Object.keys(EXPECTED) as FeatureLossName[])('%s', async (name) => {
    const channels = name === 'mse' || name === 'cosine' ? 3 : 5;
    const [s, t] = [normal([N, 3, 2, 3], 1), normal([N, channels, 2, 3], 2)];
    const expected = EXPECTED[name](rows(s), rows(t));
    expect(expected).toBeGreaterThan(1e-3);
    expect(await lossBetween(FEATURE_LOSSES[name], s, t)).toBeCloseTo(expected, 5);
    expect(await lossBetween(FEATURE_LOSSES[name], s, s)).toBeCloseTo(0, 5);
  });
});
