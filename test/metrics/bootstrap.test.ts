// The bootstrap against theory (the mean of a sample is about normal) and McNemar's test against
// SciPy's binomtest.

import { describe, expect, it } from '@jest/globals';
import { compare, intervals, mcnemar } from '../../src/metrics/bootstrap.ts';
import { Classify } from '../../src/metrics/classify.ts';
import { directionOf } from '../../src/metrics/directions.ts';
import type { Evaluation } from '../../src/metrics/evaluation.ts';
import { Regress } from '../../src/metrics/regress.ts';
import { Random } from '../../src/tensor/random.ts';

/** A classifier of two classes that is right with this chance. */
function classifier(accuracy: number, count: number, seed: number): Evaluation {
  const random = new Random(seed, 'test');
  const found = new Classify();
  for (let i = 0; i < count; i++) {
    const label = i % 2;
    const isRight = random.uniform() < accuracy;
    found.add(isRight === (label === 1) ? [0, 1.5] : [1.5, 0], [1, 2], [label]);
  }
  return found.finish();
}

describe('bootstrap', () => {
  it('gives intervals as wide as theory has them', () => {
    const evaluation = classifier(0.8, 400, 1);
    const { accuracy = Number.NaN } = evaluation.compute();
    const { low, high } = intervals(evaluation, { seed: 3 })['accuracy'] ?? { low: 0, high: 0 };
    const half = 1.96 * Math.sqrt((accuracy * (1 - accuracy)) / 400);
    expect(low).toBeCloseTo(accuracy - half, 2);
    expect(high).toBeCloseTo(accuracy + half, 2);
  });

  it('is the same for the same seed only', () => {
    const evaluation = classifier(0.8, 50, 1);
    const draw = (seed: number) => intervals(evaluation, { resamples: 50, seed });
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('tells a better model from a worse one, whichever way is up', () => {
    const [good, bad] = [classifier(0.95, 300, 1), classifier(0.7, 300, 2)];
    const { differences, mcnemar: test } = compare(good, bad, { resamples: 200 });
    expect(differences['accuracy']).toMatchObject({ verdict: 'worse', p: test?.p });
    expect(differences['loss']).toMatchObject({ verdict: 'worse', p: 2 / 201 });
    expect(differences['loss']?.low).toBeGreaterThan(0);
    expect(test?.p).toBeLessThan(0.001);
    const back = compare(bad, good, { resamples: 200 }).differences['accuracy'];
    expect(back?.verdict).toBe('better');
    expect(back?.difference).toBeCloseTo(-(differences['accuracy']?.difference ?? 0), 12);
  });

  it('leaves the verdict on what is right or wrong to the exact test', () => {
    // 7 samples that only the first does right, 1 that only the second does: binomtest(1, 8) is 0.070.
    const rights = (wrong: readonly number[]) => {
      const found = new Classify();
      for (let i = 0; i < 60; i++) {
        found.add(wrong.includes(i) ? [1.5, 0] : [0, 1.5], [1, 2], [1]);
      }
      return found.finish();
    };
    const { differences } = compare(rights([0]), rights([1, 2, 3, 4, 5, 6, 7]));
    const { high, p, verdict } = differences['accuracy'] ?? {};
    expect(high).toBeLessThan(0);
    expect(p).toBeCloseTo(18 / 256, 9);
    expect(verdict).toBe('unclear');
  });

  it('finds nothing between a model and itself', () => {
    const model = classifier(0.8, 60, 1);
    const { differences, mcnemar: test } = compare(model, model, { resamples: 50 });
    expect(test).toEqual({ onlyA: 0, onlyB: 0, p: 1 });
    for (const row of Object.values(differences)) {
      expect(row).toMatchObject({ difference: 0, low: 0, high: 0, p: 1, verdict: 'unclear' });
    }
  });

  it('pairs: a small difference everywhere is sure, however far samples are apart', () => {
    const [a, b] = [new Regress(), new Regress()];
    for (let i = 0; i < 40; i++) {
      a.add([i * i + 0.02], [1, 1], [0]);
      b.add([i * i], [1, 1], [0]);
    }
    const { differences } = compare(a.finish(), b.finish(), { resamples: 100 });
    expect(differences['mae']?.verdict).toBe('better');
    expect(() => compare(a.finish(), new Regress().finish())).toThrow('40 samples beside 0');
  });

  // scipy.stats.binomtest(min(b, c), b + c).pvalue
  it.each([
    [3, 10, 0.09228515625],
    [7, 7, 1],
    [0, 5, 0.0625],
    [0, 0, 1],
    [900, 1100, 8.45708953550381e-6],
  ])('agrees with the exact test of %d against %d', (b, c, p) => {
    const [first, second] = [new Uint8Array(b + c), new Uint8Array(b + c)];
    first.fill(1, 0, b);
    second.fill(1, b);
    expect(mcnemar(first, second).p / p).toBeCloseTo(1, 9);
  });

  it('knows which way is up', () => {
    const up = ['accuracy', 'top5', 'f1_macro', 'r2', 'ap50', 'recall_at_5', 'exact_match'];
    expect(up.map(directionOf)).toEqual(up.map(() => 'higher'));
    expect(['loss', 'bits_per_byte', 'ece', 'smape'].map(directionOf)).toEqual(
      Array(4).fill('lower'),
    );
    expect(directionOf('colour')).toBeUndefined();
  });
});
