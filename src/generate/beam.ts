// Beam search as Hugging Face's `generate` does it: of each step the likeliest continuations over all
// beams are kept; what has ended is compared by log-probability / length ^ penalty.

import { type Decoder, type GenerateOptions, logTotal } from './decoder.ts';

export interface BeamOptions extends GenerateOptions {
  readonly beams: number;
  /** Above 0 long sequences are preferred, below 0 short ones; 1 unless said. */
  readonly lengthPenalty?: number;
  /** Whether to stop as soon as there are as many ended sequences as beams. */
  readonly earlyStopping?: boolean;
}

interface Beam {
  readonly tokens: readonly number[];
  /** Sum of the log-probabilities of the new tokens. */
  readonly score: number;
  /** Its row in the step before. */
  readonly from: number;
}

interface Ended {
  readonly tokens: readonly number[];
  /** With the penalty for its length. */
  readonly score: number;
}

/** The new tokens of the best sequence after each prompt; prompts are of one length. */
export async function beamSearch(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: BeamOptions,
): Promise<number[][]> {
  const searches = prompts.map((prompt, index) => new BeamSearch(prompt, index, options));
  for (let i = 0; i < options.maxNewTokens; i++) {
    const active = searches.filter((search) => !search.isDone);
    if (active.length === 0) break;
    const beams = active.flatMap((search) => search.beams);
    const logits = await decoder.step(
      beams.map((beam) => beam.tokens),
      beams.map((beam) => beam.from),
    );
    let first = 0;
    for (const search of active) {
      const count = search.beams.length;
      search.advance(logits.slice(first, first + count), first, i === options.maxNewTokens - 1);
      first += count;
    }
  }
  return searches.map((search) => search.best());
}

/** The search after one prompt. */
class BeamSearch {
  beams: readonly Beam[];
  isDone = false;
  readonly #prompt: number;
  readonly #options: BeamOptions;
  /** By falling score, no more than there are beams. */
  #ended: Ended[] = [];

  constructor(prompt: readonly number[], from: number, options: BeamOptions) {
    this.beams = [{ tokens: prompt, score: 0, from }];
    this.#prompt = prompt.length;
    this.#options = options;
  }

  /**
   * @param first row of the first beam in the step
   * @param isLast what goes on is cut off here, and competes with what has ended
   */
  advance(logits: readonly Float32Array[], first: number, isLast: boolean): void {
    const { beams: width, eos } = this.#options;
    // So many that there are enough to go on with when all ends are among them.
    const candidates = this.#candidates(logits, Math.max(2, 1 + eos.length) * width);
    const length = (this.beams[0]?.tokens.length ?? 0) + 1;
    const next: Beam[] = [];
    candidates.forEach(({ beam, token, score }, rank) => {
      const { tokens } = this.beams[beam] as Beam;
      const isEnd = eos.includes(token);
      const longer = isEnd ? tokens : [...tokens, token];
      if (isEnd || isLast) {
        if (rank < width) this.#end(longer, this.#penalised(score, length));
      } else if (next.length < width) {
        next.push({ tokens: longer, score, from: first + beam });
      }
    });
    const best = next[0]?.score ?? Number.NEGATIVE_INFINITY;
    this.beams = next;
    this.isDone = next.length === 0 || this.#isSettled(this.#penalised(best, length));
  }

  /** The likeliest continuations of all beams, by falling score. */
  #candidates(logits: readonly Float32Array[], count: number) {
    const all = logits.flatMap((row, beam) => {
      const offset = (this.beams[beam] as Beam).score - logTotal(row);
      const tokens = likeliest(row, count);
      return tokens.map((token) => ({ beam, token, score: (row[token] as number) + offset }));
    });
    return all.sort((a, b) => b.score - a.score).slice(0, count);
  }

  /** `length` is that of prompt and new tokens, the end included. */
  #penalised(score: number, length: number): number {
    return score / (length - this.#prompt) ** (this.#options.lengthPenalty ?? 1);
  }

  #end(tokens: readonly number[], score: number): void {
    this.#ended = [...this.#ended, { tokens, score }]
      .sort((a, b) => b.score - a.score)
      .slice(0, this.#options.beams);
  }

  /** Whether what goes on cannot (at its present length) beat what has ended. */
  #isSettled(highest: number): boolean {
    const { beams, earlyStopping = false } = this.#options;
    if (this.#ended.length < beams) return false;
    return earlyStopping || (this.#ended.at(-1)?.score ?? 0) >= highest;
  }

  best(): number[] {
    return this.#ended[0]?.tokens.slice(this.#prompt) ?? [];
  }
}

/** Indices of the highest scores, falling; the first of equals first. */
function likeliest(scores: Float32Array, count: number): number[] {
  const best: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] as number;
    if (best.length === count && !(score > least)) continue;
    let at = best.length;
    while (at > 0 && (scores[best[at - 1] as number] as number) < score) at -= 1;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
    least = scores[best.at(-1) as number] as number;
  }
  return best;
}
