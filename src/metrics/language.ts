// Metrics of language models, from what they gave to each next token.

import { defined, type Evaluation, samplesOf } from './evaluation.ts';

/** What one sample adds up to. */
export interface TokenSums {
  /** -ln p of the tokens that were to be told. */
  readonly loss: number;
  readonly tokens: number;
  /** Tokens that were the most probable. */
  readonly hits: number;
  /** Length of the text in UTF-8, where it is known. */
  readonly bytes?: number | undefined;
}

export class LanguageScores {
  readonly #samples: TokenSums[] = [];

  add(sample: TokenSums): void {
    this.#samples.push(sample);
  }

  finish(): Evaluation {
    const all = this.#samples;
    return {
      count: all.length,
      compute: (given) => {
        const samples = samplesOf(given, all.length);
        let [loss, tokens, hits, bytes] = [0, 0, 0, 0];
        for (let i = 0; i < samples.length; i++) {
          const one = all[samples[i] as number] as TokenSums;
          loss += one.loss;
          tokens += one.tokens;
          hits += one.hits;
          bytes += one.bytes ?? Number.NaN;
        }
        return defined({
          loss: loss / tokens,
          perplexity: Math.exp(loss / tokens),
          token_accuracy: hits / tokens,
          bits_per_byte: loss / Math.LN2 / bytes,
        });
      },
    };
  }
}
