// BLEU and chrF against sacreBLEU, exact match and F1 against torchmetrics (make_text.py).

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { tokens13a } from '../../src/metrics/bleu.ts';
import type { Metrics } from '../../src/metrics/evaluation.ts';
import { QuestionAnswering } from '../../src/metrics/qa.ts';
import { Translate } from '../../src/metrics/translate.ts';
import { expectMetrics } from '../helpers/metrics.ts';

interface Translation {
  readonly name: string;
  readonly found: string[];
  readonly wanted: string[][];
  readonly samples: number[];
  readonly expected: Metrics;
  readonly resampled: Metrics;
}

interface Answers {
  readonly name: string;
  readonly rows: { readonly found: string; readonly wanted: string[] }[];
  readonly expected: Metrics;
}

const { translations, answers }: { translations: Translation[]; answers: Answers[] } = JSON.parse(
  readFileSync('test/metrics/text.json', 'utf8'),
);

describe('translate', () => {
  it.each(translations)('agrees with sacreBLEU: $name', (given) => {
    const found = new Translate();
    found.add(given.found, given.wanted);
    const evaluation = found.finish();
    expectMetrics(evaluation.compute(), given.expected, 1e-9);
    expectMetrics(evaluation.compute(given.samples), given.resampled, 1e-9);
  });

  it('separates words as mteval-v13a does', () => {
    expect(tokens13a('It\'s 3.5, "x-y"; 10-1 &lt;z&gt;.').join(' ')).toBe(
      'It\'s 3.5 , " x-y " ; 10 - 1 < z > .',
    );
  });

  it('refuses sentences without a reference', () => {
    expect(() => new Translate().add(['a'], [[]])).toThrow('cannot score');
    expect(new Translate().finish().compute()).toEqual({});
  });
});

describe('question answering', () => {
  it.each(answers)('agrees with the script of SQuAD: $name', ({ rows, expected }) => {
    const found = new QuestionAnswering();
    for (const row of rows) found.add(row.found, row.wanted);
    // Single precision there.
    expectMetrics(found.finish().compute(), expected, 1e-6);
  });

  it('takes an empty answer for right where there is none', () => {
    const found = new QuestionAnswering();
    found.add('', []);
    found.add('something', []);
    found.add('', ['something']);
    found.add('The!', ['the']);
    expect(found.finish().compute()).toEqual({ exact_match: 0.5, f1: 0.5 });
    expect(Array.from(found.finish().correct ?? [])).toEqual([1, 0, 0, 1]);
  });

  it('keeps letters that are no ASCII whole', () => {
    const found = new QuestionAnswering();
    found.add('aé', ['é']);
    expect(found.finish().compute()).toEqual({ exact_match: 0, f1: 0 });
  });
});
