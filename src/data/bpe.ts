// Training of byte-level BPE: the pair of tokens that stands together most often becomes a token, again
// and again (Sennrich et al. 2016; bytes as in Radford et al. 2019). Ties go to the pair of lower ids, as
// in Hugging Face's BpeTrainer, so that the merges are the same.

import { bpeFile, byteTokens, type TokenizerFile } from './tokenizer-file.ts';

/** How GPT-2 cuts text into words; no token reaches across them. */
const WORD = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

export interface BpeOptions {
  /** Tokens in the end, those of single bytes among them: 256 at least. */
  readonly vocabulary: number;
  readonly special: readonly string[];
}

/** `lines` with their line ends, as Hugging Face reads files: no word reaches across them. */
export async function trainBpe(
  lines: AsyncIterable<string>,
  { vocabulary, special }: BpeOptions,
): Promise<TokenizerFile> {
  const counts = new Map<string, number>();
  for await (const line of lines) {
    for (const [word] of line.matchAll(WORD)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const bytes = byteTokens();
  const alphabet = [...bytes].sort((a, b) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0));
  const tokens = [...special, ...alphabet];
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  const ids = bytes.map((token) => vocab.get(token) as number);
  const merger = new Merger(counts, ids);
  const merges: [string, string][] = [];
  while (vocab.size < vocabulary) {
    const best = merger.best();
    if (!best) break;
    const pair: [string, string] = [tokens[best.a] as string, tokens[best.b] as string];
    const token = pair.join('');
    const id = vocab.get(token) ?? vocab.size;
    vocab.set(token, id);
    tokens[id] = token;
    merges.push(pair);
    merger.merge(best, id);
  }
  return bpeFile({ vocab, merges, special, isByteLevel: true, hasWords: true });
}

interface Pair {
  readonly a: number;
  readonly b: number;
  /** How often it stands in the text. */
  count: number;
  /** Words that have it, or had it. */
  readonly words: Set<number>;
}

/** A pair as it counted when it was put into the heap; what counts less by now is put in anew. */
interface Candidate {
  readonly pair: Pair;
  readonly count: number;
}

/** Ids stay below 2^26, so that two make a whole number. */
const BASE = 2 ** 26;

class Merger {
  readonly #words: number[][] = [];
  readonly #counts: number[] = [];
  readonly #pairs = new Map<number, Pair>();
  readonly #heap = new Heap<Candidate>(
    (x, y) => y.count - x.count || x.pair.a - y.pair.a || x.pair.b - y.pair.b,
  );

  constructor(counts: ReadonlyMap<string, number>, byteIds: readonly number[]) {
    const encoder = new TextEncoder();
    for (const [text, count] of counts) {
      this.#words.push(Array.from(encoder.encode(text), (byte) => byteIds[byte] as number));
      this.#counts.push(count);
      this.#count(this.#words.length - 1, 1);
    }
    for (const pair of this.#pairs.values()) this.#heap.push({ pair, count: pair.count });
  }

  /** The pair that is most frequent. */
  best(): Pair | undefined {
    for (;;) {
      const top = this.#heap.pop();
      if (!top) return undefined;
      const { pair, count } = top;
      if (pair.count === count) return pair;
      if (pair.count > 0) this.#heap.push({ pair, count: pair.count });
    }
  }

  /** Puts the token `id` in the place of a pair, and counts the pairs around it anew. */
  merge(pair: Pair, id: number): void {
    const changed = new Set<Pair>();
    for (const index of pair.words) {
      this.#count(index, -1);
      this.#words[index] = merged(this.#words[index] as number[], pair, id);
      for (const other of this.#count(index, 1)) {
        if (other.a === id || other.b === id) changed.add(other);
      }
    }
    for (const other of changed) this.#heap.push({ pair: other, count: other.count });
    this.#pairs.delete(pair.a * BASE + pair.b);
  }

  /** Adds the pairs of a word, or takes them away; returns them. */
  #count(index: number, sign: 1 | -1): Pair[] {
    const word = this.#words[index] as number[];
    const weight = sign * (this.#counts[index] as number);
    const found: Pair[] = [];
    for (let i = 0; i + 1 < word.length; i++) {
      const [a, b] = [word[i] as number, word[i + 1] as number];
      const key = a * BASE + b;
      const pair = this.#pairs.get(key) ?? { a, b, count: 0, words: new Set() };
      this.#pairs.set(key, pair);
      pair.count += weight;
      if (sign > 0) pair.words.add(index);
      found.push(pair);
    }
    return found;
  }
}

/** From left to right. */
function merged(word: readonly number[], { a, b }: Pair, id: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < word.length; i++) {
    const isPair = word[i] === a && word[i + 1] === b;
    result.push(isPair ? id : (word[i] as number));
    if (isPair) i += 1;
  }
  return result;
}

/** A binary heap: the smallest comes first. */
class Heap<T> {
  readonly #items: T[] = [];
  readonly #compare: (x: T, y: T) => number;

  constructor(compare: (x: T, y: T) => number) {
    this.#compare = compare;
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    for (; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#compare(items[parent] as T, item) <= 0) break;
      items[at] = items[parent] as T;
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      const right = child + 1;
      if (right < items.length && this.#compare(items[right] as T, items[child] as T) < 0) {
        child = right;
      }
      if (this.#compare(items[child] as T, last) >= 0) break;
      items[at] = items[child] as T;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
