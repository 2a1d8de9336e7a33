// From texts to token ids: characters, bytes, or a Hugging Face tokenizer.json.

import { readFileSync } from 'node:fs';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { brokenFile, noSuchData, tokenizerMissing, unknownCharacter } from '../errors/data.ts';
import {
  byteFile,
  charFile,
  isByteFile,
  isCharFile,
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

  encode(text: string, pair: string | undefined, length: number): Encoded {
    const second = pair === undefined ? undefined : this.ids(pair);
    return joinPlain(...cutToFit(this.ids(text), second, length));
  }
}

class ByteTokenizer extends PlainTokenizer {
  ids(text: string): readonly number[] {
    return Array.from(new TextEncoder().encode(text));
  }
}

class CharTokenizer extends PlainTokenizer {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #where: string;

  constructor(file: TokenizerFile, where: string) {
    super(file);
    this.#ids = new Map(Object.entries(file.model.vocab));
    this.#where = where;
  }

  ids(text: string): readonly number[] {
    return Array.from(text, (character) => {
      const id = this.#ids.get(character);
      if (id === undefined) throw unknownCharacter(character, this.#where);
      return id;
    });
  }
}

/** What @huggingface/tokenizers reads: BPE, WordPiece, Unigram with all that stands around them. */
class LibraryTokenizer implements Tokenizer {
  readonly file: TokenizerFile;
  readonly #library: Library;

  constructor(file: TokenizerFile, where: string) {
    this.file = file;
    try {
      this.#library = new Library(file, { unk_token: file.model.unk_token });
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
    return this.#wrap(a, b);
  }

  /** With the special tokens that the post-processor adds. */
  #wrap(a: readonly string[], b: readonly string[] | undefined): Encoded {
    const processor = this.#library.post_processor;
    if (!processor) return joinPlain(this.#toIds(a), b && this.#toIds(b));
    const { tokens, tokens_pair, token_type_ids } = processor.post_process([...a], b ?? null, true);
    const first = this.#toIds(tokens);
    const second = tokens_pair && this.#toIds(tokens_pair);
    const plain = joinPlain(first, second);
    return second || !token_type_ids ? plain : { ids: first, types: token_type_ids };
  }

  #toIds(tokens: readonly string[]): number[] {
    const unknown = this.#library.model?.unk_token_id;
    return tokens.map((token) => this.#library.token_to_id(token) ?? unknown ?? 0);
  }
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
