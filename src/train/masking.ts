// Masked language modelling (Devlin et al. 2019): of the tokens, 15 % are to be told; of these 80 % are
// hidden behind the mask token, 10 % exchanged for any other, 10 % left as they are.

import type { Batch } from '../data/dataset.ts';
import { Random } from '../tensor/random.ts';
import { Tensor } from '../tensor/tensor.ts';
import { IGNORED } from './objectives/language.ts';

export interface Masking {
  /** The input that holds the tokens. */
  readonly input: string;
  /** The token that hides others. */
  readonly mask: number;
  /** Tokens are below it. */
  readonly vocabulary: number;
  /** Tokens that are never to be told: padding, separators. */
  readonly special: ReadonlySet<number>;
  /** Share that is to be told. */
  readonly share: number;
}

/** The batch with tokens hidden and `labels` that say what stood there; decided by `seed`. */
export function maskTokens(batch: Batch, masking: Masking, seed: string): Batch {
  const { input, mask, vocabulary, special, share } = masking;
  const tokens = batch.feeds.get(input);
  if (!tokens) throw new Error(`no input "${input}"`);
  const random = new Random(0, `masks of ${seed}`);
  const given = tokens.values() as BigInt64Array;
  const there = attentionMask(batch, given.length);
  const shown = BigInt64Array.from(given);
  const labels = new BigInt64Array(given.length).fill(BigInt(IGNORED));
  for (let i = 0; i < given.length; i++) {
    const token = given[i] as bigint;
    const [chosen, how] = [random.uniform(), random.uniform()];
    const other = random.integer(vocabulary);
    if (special.has(Number(token)) || chosen >= share || there?.[i] === 0) continue;
    labels[i] = token;
    if (how < 0.8) shown[i] = BigInt(mask);
    else if (how < 0.9) shown[i] = BigInt(other);
  }
  const feeds = new Map(batch.feeds).set(input, Tensor.of('int64', tokens.shape, shown));
  const targets = new Map(batch.targets).set('labels', Tensor.of('int64', tokens.shape, labels));
  return { ...batch, feeds, targets };
}

/** 0 where a text was filled up, [rows * length]. */
function attentionMask({ feeds }: Batch, size: number): number[] | undefined {
  const found = [...feeds].find(([name]) => /attention_mask/i.test(name))?.[1];
  return found?.size === size ? found.numbers() : undefined;
}
