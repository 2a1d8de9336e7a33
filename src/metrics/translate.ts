// Translation: BLEU and chrF of a corpus as sacreBLEU has them (Post, 2018), from 0 to 100, summed from
// statistics per sentence so that they can be had for any choice of sentences.

import { scoredShapesDiffer } from '../errors/metrics.ts';
import { type BleuCounts, bleuCounts, bleuScore } from './bleu.ts';
import { type ChrfCounts, chrfCounts, chrfScore } from './chrf.ts';
import { defined, type Evaluation, type Metrics, weightsOf } from './evaluation.ts';

/** Accumulates translations, sentence by sentence. */
export class Translate {
  readonly #bleu: BleuCounts[] = [];
  readonly #chrf: ChrfCounts[] = [];

  /** @param references one or more for every sentence */
  add(translations: readonly string[], references: readonly (readonly string[])[]): void {
    const isComplete = references.every((row) => row.length > 0);
    if (translations.length !== references.length || !isComplete) {
      const [found, wanted] = [[translations.length], [references.length]];
      throw scoredShapesDiffer('translate', ['translations', found], ['references', wanted]);
    }
    translations.forEach((translation, i) => {
      const own = references[i] ?? [];
      this.#bleu.push(bleuCounts(translation, own));
      this.#chrf.push(chrfCounts(translation, own));
    });
  }

  finish(): Evaluation {
    return new TranslateEvaluation(this.#bleu, this.#chrf);
  }
}

class TranslateEvaluation implements Evaluation {
  readonly count: number;
  readonly #bleu: readonly BleuCounts[];
  readonly #chrf: readonly ChrfCounts[];

  constructor(bleu: readonly BleuCounts[], chrf: readonly ChrfCounts[]) {
    this.count = bleu.length;
    this.#bleu = bleu;
    this.#chrf = chrf;
  }

  compute(samples?: ArrayLike<number>): Metrics {
    if (this.count === 0) return {};
    const weights = weightsOf(this.count, samples);
    return defined({
      bleu: bleuScore(sumOf(this.#bleu, weights)),
      chrf: chrfScore(sumOf(this.#chrf, weights)),
    });
  }
}

function sumOf(rows: readonly (readonly number[])[], weights: Float64Array): number[] {
  const sums = new Array<number>(rows[0]?.length ?? 0).fill(0);
  rows.forEach((row, i) => {
    const weight = weights[i] as number;
    if (weight === 0) return;
    for (let k = 0; k < row.length; k++)
      sums[k] = (sums[k] as number) + weight * (row[k] as number);
  });
  return sums;
}
