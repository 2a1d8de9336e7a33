// Classification against scikit-learn (make_classify.py), all samples and a resample of them.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Classify } from '../../src/metrics/classify.ts';
import type { Metrics } from '../../src/metrics/evaluation.ts';
import { expectMetrics } from '../helpers/metrics.ts';

interface Case {
  readonly name: string;
  readonly shape: [number, number];
  readonly scores: number[];
  readonly labels: number[];
  readonly samples: number[];
  readonly expected: Metrics;
  readonly resampled: Metrics;
}

const CASES: Case[] = JSON.parse(readFileSync('test/metrics/classify.json', 'utf8'));

/** In two batches of different sizes. */
function evaluate({ shape: [rows, classes], scores, labels }: Case) {
  const found = new Classify();
  const cut = Math.ceil(rows / 3);
  const width = labels.length / rows;
  const batch = (from: number, to: number) =>
    found.add(
      Float32Array.from(scores.slice(from * classes, to * classes)),
      [to - from, classes],
      BigInt64Array.from(labels.slice(from * width, to * width), BigInt),
    );
  batch(0, cut);
  batch(cut, rows);
  return found.finish();
}

describe('classify', () => {
  it.each(CASES)('agrees with scikit-learn: $name', (given) => {
    const evaluation = evaluate(given);
    expect(evaluation.count).toBe(given.shape[0]);
    expectMetrics(evaluation.compute(), given.expected);
    expectMetrics(evaluation.compute(given.samples), given.resampled);
  });

  it('counts what was taken for what', () => {
    const found = new Classify();
    found.add([3, 1, 0, 0, 2, 9, 5, 0, 0], [3, 3, 1, 1], [0, 1, 2]);
    const evaluation = found.finish();
    expect([...(evaluation.confusion?.() ?? [])]).toEqual([1, 0, 0, 0, 0, 1, 1, 0, 0]);
    expect(Array.from(evaluation.correct ?? [])).toEqual([1, 0, 0]);
    expect(evaluation.perClass?.()[0]?.metrics).toMatchObject({ precision: 0.5, recall: 1 });
  });

  it('refuses labels and scores that do not fit', () => {
    expect(() => new Classify().add([1, 2], [1, 2], [2])).toThrow('label 2');
    expect(() => new Classify().add([1, 2, 3, 4], [2, 2], [0])).toThrow('cannot score');
    expect(() => new Classify().add([1, Number.NaN], [1, 2], [0])).toThrow('not a number');
  });

  it('says nothing about nothing', () => {
    expect(new Classify().finish().compute()).toEqual({});
  });
});
