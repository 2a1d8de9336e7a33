// Masked language modelling (Devlin et al. 2019): of the tokens, 15 % are to be told; of these 80 % are
// hidden behind the mask token, 10 % exchanged for any other, 10 % left as they are.

import type { Batch } from '../data/dataset.ts';
import { elementsOf } from '../tensor/elements.ts';
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

/**
 * Tokens of a batch that are to be told, at most: more than four deviations above the mean come once in
 * 30,000 batches, and are left as they are.
 */
export function mostTold({ share }: Masking, tokens: number): number {
  const most = Math.ceil(tokens * share + 4 * Math.sqrt(tokens * share * (1 - share)));
  return Math.min(tokens, Math.max(1, most));
}

/**
 * Batches with tokens hidden, and `labels` that say what stood there; each is decided by its own seed,
 * whatever others stand beside it.
 */
export function maskTokens(batches: Batch, masking: Masking, seeds: readonly string[]): Batch {
  const { input } = masking;
  const tokens = batches.feeds.get(input);
  if (!tokens) throw new Error(`no input "${input}"`);
  const given = tokens.values() as BigInt64Array;
  const there = attentionMask(batches, given.length);
  const shown = BigInt64Array.from(given);
  const labels = new BigInt64Array(given.length).fill(BigInt(IGNORED));
  const size = given.length / seeds.length;
  seeds.forEach((seed, i) => {
    const [from, to] = [i * size, (i + 1) * size];
    const batch = { given: given.subarray(from, to), there: there?.subarray(from, to) };
    hide(masking, seed, batch, {
      shown: shown.subarray(from, to),
      labels: labels.subarray(from, to),
    });
  });
  const feeds = new Map(batches.feeds).set(input, Tensor.of('int64', tokens.shape, shown));
  const targets = new Map(batches.targets).set('labels', Tensor.of('int64', tokens.shape, labels));
  return { ...batches, feeds, targets };
}

function hide(
  masking: Masking,
  seed: string,
  { given, there }: { given: BigInt64Array; there: Float64Array | undefined },
  { shown, labels }: { shown: BigInt64Array; labels: BigInt64Array },
): void {
  const { mask, vocabulary, special, share } = masking;
  const random = new Random(0, `masks of ${seed}`);
  let left = mostTold(masking, given.length);
  given.forEach((token, i) => {
    const [chosen, how] = [random.uniform(), random.uniform()];
    const other = random.integer(vocabulary);
    if (special.has(Number(token)) || chosen >= share || there?.[i] === 0 || left === 0) return;
    left -= 1;
    labels[i] = token;
    if (how < 0.8) shown[i] = BigInt(mask);
    else if (how < 0.9) shown[i] = BigInt(other);
  });
}

/** 0 where a text was filled up, [rows * length]. */
function attentionMask({ feeds }: Batch, size: number): Float64Array | undefined {
  const found = [...feeds].find(([name]) => /attention_mask/i.test(name))?.[1];
  return found?.size === size
    ? Float64Array.from(elementsOf(found) as ArrayLike<number | bigint>, Number)
    : undefined;
}
