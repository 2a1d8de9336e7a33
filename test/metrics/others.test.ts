// Segmentation, language models, rankings and embeddings against scikit-learn, SciPy and PyTorch
// (make_others.py), all samples and a resample of them.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Embed } from '../../src/metrics/embed.ts';
import type { Evaluation, Metrics } from '../../src/metrics/evaluation.ts';
import { LanguageModel, tokenScores } from '../../src/metrics/lm.ts';
import { Rank } from '../../src/metrics/rank.ts';
import { Segment } from '../../src/metrics/segment.ts';
import { expectMetrics } from '../helpers/metrics.ts';

interface Case {
  readonly task: keyof typeof EVALUATE;
  readonly name: string;
  readonly given: Record<string, number[]>;
  readonly shapes: Record<string, number[]>;
  readonly samples: number[];
  readonly expected: Metrics;
  readonly resampled: Metrics;
}

const EVALUATE = {
  segment: ({ given, shapes }: Case) => {
    const found = new Segment();
    found.add(given['scores'] ?? [], shapes['scores'] ?? [], given['labels'] ?? []);
    return found.finish();
  },
  lm: ({ given, shapes }: Case) => {
    const found = new LanguageModel();
    const scores = tokenScores(given['logits'] ?? [], 11, given['targets'] ?? []);
    const bytes = given['bytes'];
    found.add(bytes ? { ...scores, bytes } : scores, shapes['targets'] ?? []);
    return found.finish();
  },
  rank: ({ given, shapes }: Case) => {
    const found = new Rank();
    found.add(given['scores'] ?? [], shapes['scores'] ?? [], given['relevance'] ?? []);
    return found.finish();
  },
  embed: ({ given, shapes }: Case) => {
    const found = new Embed();
    found.add(given['left'] ?? [], given['right'] ?? [], shapes['left'] ?? [], given['grades']);
    return found.finish();
  },
} satisfies Record<string, (given: Case) => Evaluation>;

const CASES: Case[] = JSON.parse(readFileSync('test/metrics/others.json', 'utf8'));

describe('metrics agree with their references', () => {
  it.each(CASES)('$task: $name', (given) => {
    const evaluation = EVALUATE[given.task](given);
    expectMetrics(evaluation.compute(), given.expected, 1e-10);
    expectMetrics(evaluation.compute(given.samples), given.resampled, 1e-10);
  });
});

describe('degenerate cases', () => {
  it('leaves out what is undefined', () => {
    const same = new Embed();
    same.add([1, 0, 1, 0], [1, 0, 0, 1], [2, 2], [3, 3]);
    expect(same.finish().compute()).toEqual({});
    expect(new LanguageModel().finish().compute()).toEqual({});
    const ignored = new Segment();
    ignored.add([1, 1], [1, 1, 2], [255, 255]);
    expect(ignored.finish().compute()).toEqual({});
  });

  it('does not reward scores that are all the same', () => {
    const found = new Rank({ cuts: [1] });
    found.add([0, 0, 0, 0], [1, 4], [1, 0, 0, 0]);
    expect(found.finish().compute()).toEqual({ mrr: 0.25, hit_rate_at_1: 0, ndcg_at_1: 0.25 });
  });

  it('takes one channel with a threshold for yes or no', () => {
    const found = new Segment({ threshold: 0.5 });
    found.add([0.9, 0.2, 0.6, 0.1], [1, 1, 2, 2], [1, 0, 0, 0]);
    expect(found.finish().compute()).toMatchObject({ pixel_accuracy: 0.75 });
  });

  it('refuses what does not fit', () => {
    expect(() => new Segment().add([1, 2], [1, 2, 1, 1], [5])).toThrow('label 5');
    expect(() => new Rank().add([1, 2], [1, 2], [1])).toThrow('cannot score');
    expect(() => new Embed().add([1], [1], [1, 1], [1, 2])).toThrow('cannot score');
    expect(() => new LanguageModel().add({ logProbabilities: [1] }, [2, 2])).toThrow('lm');
  });
});
