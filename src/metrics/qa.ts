// Question answering from a text: exact match and F1 over words, by the rules of the official script of
// SQuAD 2.0 (Rajpurkar et al. 2018), as fractions; for SQuAD 1.1 the same but for questions without
// an answer.

import type { Evaluation } from './evaluation.ts';
import { MeansEvaluation } from './means.ts';
import { ratios } from './precision-recall.ts';
import { inCommon, ngrams, wordsOf } from './text.ts';

const PUNCTUATION = /[!-/:-@[-`{-~]/g;
const ARTICLES = /(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu;

/** Accumulates answers, question by question. */
export class QuestionAnswering {
  readonly #exact: number[] = [];
  readonly #f1: number[] = [];

  /** @param answers any of them is right; none: the right answer is an empty one */
  add(prediction: string, answers: readonly string[]): void {
    const found = normalised(prediction);
    const wanted = answers.map(normalised).filter((words) => words.length > 0);
    const scores = (wanted.length > 0 ? wanted : [[]]).map((words) => wordF1(found, words));
    this.#f1.push(Math.max(...scores));
    const text = found.join(' ');
    const isExact = wanted.some((words) => words.join(' ') === text);
    this.#exact.push(isExact || (wanted.length === 0 && text === '') ? 1 : 0);
  }

  finish(): Evaluation {
    const values = { exact_match: this.#exact, f1: this.#f1 };
    return Object.assign(new MeansEvaluation(this.#exact.length, values), {
      correct: Uint8Array.from(this.#exact),
    });
  }
}

/** Lower case, without punctuation (ASCII) and articles. */
function normalised(text: string): string[] {
  return wordsOf(text.toLowerCase().replace(PUNCTUATION, '').replace(ARTICLES, ' '));
}

function wordF1(found: readonly string[], wanted: readonly string[]): number {
  if (found.length === 0 || wanted.length === 0) return found.length === wanted.length ? 1 : 0;
  const hits = inCommon(ngrams(found, 1), ngrams(wanted, 1));
  return ratios(hits, found.length - hits, wanted.length - hits).f1;
}
