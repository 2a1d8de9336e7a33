// From texts to token ids: characters, bytes, or a Hugging Face tokenizer.json.

import { readFileSync } from 'node:fs';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { brokenFile, noSuchData, tokenizerMissing, unknownCharacter } from '../errors/data.ts';
import type { Dataset } from './dataset.ts';
import { type Piece, piecesOf } from './pieces.ts';
import {
  byteFile,
  charFile,
  isByteFile,
  isByteLevel,
  isCharFile,
  type PreTokenizer,
  specialTokens,
  type TokenizerFile,
} from './tokenizer-file.ts';

export interface Encoded {
  readonly ids: readonly number[];
  /** 1 for tokens of the second text, as BERT has it. */
  readonly types: readonly number[];
}

export interface Tokenizer {
  readonly file: TokenizerFile;
  /** The same, where the vocabulary was made from the texts at hand. */
  readonly madeHere?: TokenizerFile;
  /** Ids of a text alone, without special tokens. */
  ids(text: string): readonly number[];
  /** Ids of a text, or of two, with special tokens; texts are cut so that there are `length` at most. */
  encode(text: string, pair: string | undefined, length: number): Encoded;
  /** The text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
  /** The tokens of a text alone with where they stand in it. */
  pieces(text: string): readonly Piece[];
  /** Ids of two texts with special tokens around them. */
  join(first: readonly number[], second: readonly number[]): Joined;
}

export interface Joined extends Encoded {
  /** Where the ids of the second text begin. */
  readonly start: number;
}

/**
 * The tokenizer that --tokenizer names: a path of a tokenizer.json, its content, `byte`, or `char`,
 * whose vocabulary are the characters of `texts`.
 */
export async function openTokenizer(
  given: string | TokenizerFile | undefined,
  texts: () => AsyncIterable<string> | Iterable<string>,
): Promise<Tokenizer> {
  if (given === undefined) throw tokenizerMissing();
  if (given === 'byte') return new ByteTokenizer(byteFile());
  if (given === 'char') {
    const tokenizer = new CharTokenizer(await charFile(texts()), 'the text');
    return Object.assign(tokenizer, { madeHere: tokenizer.file });
  }
  const [file, where] = typeof given === 'string' ? [readFile(given), given] : [given, 'the text'];
  if (isByteFile(file)) return new ByteTokenizer(file);
  return isCharFile(file) ? new CharTokenizer(file, where) : new LibraryTokenizer(file, where);
}

/** A dataset that tells by what it was made tokens. */
export function withTokenizer(dataset: Dataset, tokenizer: Tokenizer): Dataset {
  return Object.assign(dataset, {
    vocabulary: tokenizer.madeHere,
    specialTokens: specialTokens(tokenizer.file),
    decode: (ids: readonly number[]) => tokenizer.decode(ids),
  });
}

function readFile(path: string): TokenizerFile {
  const problem = (what: string) => brokenFile(path, `this is not a tokenizer.json: ${what}`);
  let file: TokenizerFile;
  try {
    file = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw noSuchData(path);
    throw problem((error as Error).message);
  }
  if (!file?.model?.vocab) throw problem('it has no vocabulary');
  return { ...file, added_tokens: file.added_tokens ?? [] };
}

/** No special tokens: one text after the other. */
abstract class PlainTokenizer implements Tokenizer {
  readonly file: TokenizerFile;

  constructor(file: TokenizerFile) {
    this.file = file;
  }

  abstract ids(text: string): readonly number[];
  abstract decode(ids: readonly number[]): string;

  encode(text: string, pair: string | undefined, length: number): Encoded {
    const second = pair === undefined ? undefined : this.ids(pair);
    return joinPlain(...cutToFit(this.ids(text), second, length));
  }

  /** Each character is as many tokens as it makes alone. */
  pieces(text: string): readonly Piece[] {
    let to = 0;
    return Array.from(text).flatMap((character) => {
      const from = to;
      to += character.length;
      return this.ids(character).map((id) => ({ id, from, to: from + character.length }));
    });
  }

  join(first: readonly number[], second: readonly number[]): Joined {
    return { ...joinPlain(first, second), start: first.length };
  }
}

const BYTES = 256;

class ByteTokenizer extends PlainTokenizer {
  ids(text: string): readonly number[] {
    return Array.from(new TextEncoder().encode(text));
  }

  decode(ids: readonly number[]): string {
    return new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < BYTES)));
  }
}

class CharTokenizer extends PlainTokenizer {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #characters: ReadonlyMap<number, string>;
  readonly #where: string;

  constructor(file: TokenizerFile, where: string) {
    super(file);
    this.#ids = new Map(Object.entries(file.model.vocab));
    const special = new Set(specialTokens(file).all);
    const entries = [...this.#ids].filter(([, id]) => !special.has(id));
    this.#characters = new Map(entries.map(([character, id]) => [id, character]));
    this.#where = where;
  }

  ids(text: string): readonly number[] {
    return Array.from(text, (character) => {
      const id = this.#ids.get(character);
      if (id === undefined) throw unknownCharacter(character, this.#where);
      return id;
    });
  }

  decode(ids: readonly number[]): string {
    return ids.map((id) => this.#characters.get(id) ?? '').join('');
  }
}

/** Stand for tokens of two texts: no vocabulary has them. */
const FIRST = '\u0000first';
const SECOND = '\u0000second';

interface Wrapped extends Encoded {
  readonly tokens: readonly string[];
}

/** What @huggingface/tokenizers reads: BPE, WordPiece, Unigram with all that stands around them. */
class LibraryTokenizer implements Tokenizer {
  readonly file: TokenizerFile;
  readonly #library: Library;

  constructor(file: TokenizerFile, where: string) {
    this.file = file;
    try {
      this.#library = new Library(withUnicode(file), { unk_token: file.model.unk_token });
    } catch (error) {
      throw brokenFile(where, `the tokenizer cannot be used: ${(error as Error).message}`);
    }
  }

  ids(text: string): readonly number[] {
    return this.#toIds(this.#library.tokenize(text, { add_special_tokens: false }));
  }

  encode(text: string, pair: string | undefined, length: number): Encoded {
    const tokens = (part: string) => this.#library.tokenize(part, { add_special_tokens: false });
    const isPair = pair !== undefined;
    const special = this.#wrap([], isPair ? [] : undefined).ids.length;
    const [a, b] = cutToFit<string>(
      tokens(text),
      isPair ? tokens(pair) : undefined,
      length - special,
    );
    const { ids, types } = this.#wrap(a, b);
    return { ids, types };
  }

  decode(ids: readonly number[]): string {
    const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false };
    return ids.length === 0 ? '' : this.#library.decode([...ids], options);
  }

  pieces(text: string): readonly Piece[] {
    const library = this.#library;
    const { normalizer, model } = library;
    const { type, continuing_subword_prefix: prefix } = this.file.model;
    return piecesOf(text, {
      tokenize: (word) => library.tokenize(word, { add_special_tokens: false }),
      id: (token) => this.#toIds([token])[0] as number,
      normalise: (character) => normalizer?.normalize(character) ?? character,
      isByteLevel: isByteLevel(this.file),
      prefix: type === 'WordPiece' ? (prefix ?? '##') : '',
      suffix: model?.end_of_word_suffix ?? '',
    });
  }

  join(first: readonly number[], second: readonly number[]): Joined {
    const places = (ids: readonly number[], place: string) => ids.map(() => place);
    const { tokens, ids, types } = this.#wrap(places(first, FIRST), places(second, SECOND));
    const own = new Map([
      [FIRST, first.values()],
      [SECOND, second.values()],
    ]);
    const filled = ids.map((id, i) => own.get(tokens[i] as string)?.next().value ?? id);
    const start = tokens.indexOf(SECOND);
    return { ids: filled, types, start: start < 0 ? ids.length : start };
  }

  /** With the special tokens that the post-processor adds. */
  #wrap(a: readonly string[], b: readonly string[] | undefined): Wrapped {
    const processor = this.#library.post_processor;
    if (!processor) return this.#joined(a, b ?? []);
    const { tokens, tokens_pair, token_type_ids } = processor.post_process([...a], b ?? null, true);
    const plain = this.#joined(tokens, tokens_pair ?? []);
    return tokens_pair || !token_type_ids ? plain : { ...plain, types: token_type_ids };
  }

  #joined(a: readonly string[], b: readonly string[]): Wrapped {
    return { tokens: [...a, ...b], ...joinPlain(this.#toIds(a), this.#toIds(b)) };
  }

  #toIds(tokens: readonly string[]): number[] {
    const unknown = this.#library.model?.unk_token_id;
    return tokens.map((token) => this.#library.token_to_id(token) ?? unknown ?? 0);
  }
}

/** Words as the regular expressions of Rust have them, which Hugging Face's Whitespace is made of. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const PUNCTUATION = '!-\\/:-@\\[-`{-~\\p{P}';

/** Patterns in place of what the library takes for ASCII only, or for runs where Hugging Face has one. */
const SPLITS: Readonly<Record<string, string>> = {
  Whitespace: `[${WORD}]+|[^${WORD}\\s]+`,
  Punctuation: `[^${PUNCTUATION}]+|[${PUNCTUATION}]`,
};

function withUnicode(file: TokenizerFile): TokenizerFile {
  const replaced = (one: PreTokenizer): PreTokenizer => {
    const isOther = one.behavior !== undefined && one.behavior !== 'Isolated';
    const pattern = isOther ? undefined : SPLITS[one.type];
    const invert = { type: 'Split', behavior: 'Removed', invert: true };
    if (pattern) return { ...invert, pattern: { Regex: pattern } };
    return one.pretokenizers ? { ...one, pretokenizers: one.pretokenizers.map(replaced) } : one;
  };
  return { ...file, pre_tokenizer: file.pre_tokenizer && replaced(file.pre_tokenizer) };
}

function joinPlain(a: readonly number[], b: readonly number[] | undefined): Encoded {
  const types = [...a.map(() => 0), ...(b ?? []).map(() => 1)];
  return { ids: [...a, ...(b ?? [])], types };
}

/** Cuts the longer text until both fit, as Hugging Face's `longest_first` does. */
function cutToFit<T>(
  a: readonly T[],
  b: readonly T[] | undefined,
  length: number,
): readonly [readonly T[], (readonly T[])?] {
  const room = Math.max(0, length);
  if (!b) return [a.slice(0, room)];
  const shorter = Math.min(a.length, b.length, Math.floor(room / 2));
  const [forA, forB] = a.length > b.length ? [room - shorter, shorter] : [shorter, room - shorter];
  return a.length + b.length <= room ? [a, b] : [a.slice(0, forA), b.slice(0, forB)];
}
