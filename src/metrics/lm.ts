// Language models: how likely they find the text. Sums run over all tokens, not over sequences, so that
// short sequences do not count more than long ones.

import { notANumber, scoredShapesDiffer } from '../errors/metrics.ts';
import { defined, type Evaluation, type Metrics, type Values, weightsOf } from './evaluation.ts';

/** What there is to say about each token of a batch, [samples, tokens]. */
export interface TokenScores {
  /** Natural logarithms of the probability of the token that comes. */
  readonly logProbabilities: ArrayLike<number>;
  /** 1 for tokens that count; all when absent. */
  readonly mask?: Values;
  /** 1 where the token that comes has the highest score. */
  readonly correct?: ArrayLike<number>;
  /** Per sample: bytes of the text that the counted tokens stand for. */
  readonly bytes?: Values;
}

/** Targets below 0 (-100 by custom) are no tokens to predict. */
export function tokenScores(
  logits: ArrayLike<number>,
  vocabulary: number,
  targets: Values,
): Required<Omit<TokenScores, 'bytes'>> {
  const count = targets.length;
  const logProbabilities = new Float64Array(count);
  const [mask, correct] = [new Uint8Array(count), new Uint8Array(count)];
  for (let token = 0; token < count; token++) {
    const target = Number(targets[token]);
    if (target < 0) continue;
    mask[token] = 1;
    const first = token * vocabulary;
    let best = first;
    for (let i = first; i < first + vocabulary; i++) {
      if ((logits[i] as number) > (logits[best] as number)) best = i;
    }
    const top = logits[best] as number;
    let sum = 0;
    for (let i = first; i < first + vocabulary; i++) sum += Math.exp((logits[i] as number) - top);
    logProbabilities[token] = (logits[first + target] as number) - top - Math.log(sum);
    correct[token] = best === first + target ? 1 : 0;
  }
  return { logProbabilities, mask, correct };
}

/** Sums over the tokens of a sample. */
interface Sums {
  tokens: number;
  loss: number;
  correct: number;
  bytes: number;
}

/** Accumulates token scores, sample by sample. */
export class LanguageModel {
  readonly #samples: Sums[] = [];
  #hasCorrect = true;

  /** @param shape [samples, tokens] of the scores */
  add({ logProbabilities, mask, correct, bytes }: TokenScores, shape: readonly number[]): void {
    const [samples = 0, tokens = 0] = shape;
    if (logProbabilities.length !== samples * tokens) {
      const found = ['log-probabilities', [logProbabilities.length]] as const;
      throw scoredShapesDiffer('lm', found, ['tokens', shape]);
    }
    this.#hasCorrect &&= correct !== undefined;
    for (let sample = 0; sample < samples; sample++) {
      const sums = { tokens: 0, loss: 0, correct: 0, bytes: Number(bytes?.[sample] ?? 0) };
      for (let i = sample * tokens; i < (sample + 1) * tokens; i++) {
        if (mask !== undefined && Number(mask[i]) === 0) continue;
        sums.tokens += 1;
        sums.loss -= logProbabilities[i] as number;
        sums.correct += correct?.[i] ?? 0;
      }
      if (Number.isNaN(sums.loss)) throw notANumber('lm', this.#samples.length);
      this.#samples.push(sums);
    }
  }

  finish(): Evaluation {
    return new LanguageEvaluation(this.#samples, this.#hasCorrect);
  }
}

class LanguageEvaluation implements Evaluation {
  readonly #samples: readonly Sums[];
  readonly #hasCorrect: boolean;

  constructor(samples: readonly Sums[], hasCorrect: boolean) {
    this.#samples = samples;
    this.#hasCorrect = hasCorrect;
  }

  get count(): number {
    return this.#samples.length;
  }

  /** Loss in nats per token; bits per byte where bytes are known. */
  compute(samples?: ArrayLike<number>): Metrics {
    const weights = weightsOf(this.count, samples);
    const sums = { tokens: 0, loss: 0, correct: 0, bytes: 0 };
    this.#samples.forEach((sample, i) => {
      const weight = weights[i] as number;
      sums.tokens += weight * sample.tokens;
      sums.loss += weight * sample.loss;
      sums.correct += weight * sample.correct;
      sums.bytes += weight * sample.bytes;
    });
    return defined({
      loss: sums.loss / sums.tokens,
      perplexity: Math.exp(sums.loss / sums.tokens),
      bits_per_byte: sums.loss / Math.LN2 / sums.bytes,
      accuracy: this.#hasCorrect ? sums.correct / sums.tokens : Number.NaN,
    });
  }
}
