// What searches need of a model that predicts the next token.

/** Predicts, for a batch of rows of tokens, what comes after each. */
export interface Decoder {
  /**
   * Logits over the vocabulary, row by row.
   *
   * @param rows all tokens so far; all rows are of one length
   * @param from per row, which row of the step before it continues by one token; in the first step,
   *   which of the samples it is about. A decoder that remembers, or has inputs per sample, follows it.
   */
  step(
    rows: readonly (readonly number[])[],
    from: readonly number[],
  ): Promise<readonly Float32Array[]>;
}

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** Tokens that end a sequence. They are not part of what is returned. */
  readonly eos: readonly number[];
}

/** The index of the highest logit, the first of equals. */
export function highest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) {
    if ((logits[i] as number) > (logits[best] as number)) best = i;
  }
  return best;
}

/** What to subtract from logits to get logarithms of probabilities. */
export function logTotal(logits: Float32Array): number {
  const top = logits[highest(logits)] as number;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}
