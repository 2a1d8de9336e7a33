// Where the tokens of a text stand in it. The library tells tokens alone, so that a text is cut before
// spaces, and the characters of each word (normalised one by one) are given to its tokens in their order.
// Where they do not come out even (unknown tokens, characters that only normalise together), every token
// of the word stands for the whole word.

export interface Piece {
  readonly id: number;
  /** Places in the text, in units of UTF-16; white space around the token left out. */
  readonly from: number;
  readonly to: number;
}

/** What is known of a tokenizer. */
export interface Alignment {
  tokenize(text: string): readonly string[];
  id(token: string): number;
  /** What a character becomes before it is made tokens. */
  normalise(character: string): string;
  /** Characters of a token are bytes, as in GPT-2. */
  readonly isByteLevel: boolean;
  /** Before tokens that go on in a word (`##`), and behind those that end one (`</w>`). */
  readonly prefix: string;
  readonly suffix: string;
}

/** A word with the spaces before it: no usual tokenizer has a token across the end of one. */
const WORD = / *[^ ]+/g;
/** Stands for a space in the tokens of SentencePiece. */
const SPACE = '\u2581';

export function piecesOf(text: string, alignment: Alignment): Piece[] {
  return [...text.matchAll(WORD)].flatMap((match) => piecesOfWord(text, match, alignment));
}

function piecesOfWord(text: string, match: RegExpExecArray, alignment: Alignment): Piece[] {
  const [word] = match;
  const tokens = alignment.tokenize(word);
  const units = unitsOf(word, alignment);
  const sizes = tokens.map((token) => sizeOf(token, alignment));
  const isEven = sizes.reduce((a, b) => a + b, 0) === units.length;
  let next = 0;
  return tokens.map((token, i) => {
    const size = sizes[i] as number;
    const own = isEven ? units.slice(next, next + size) : units;
    next += size;
    const before = units[next - size - 1] ?? 0;
    const [from, to] = own.length > 0 ? rangeOf(own, word) : [before, before];
    return { id: alignment.id(token), ...trimmed(text, match.index + from, match.index + to) };
  });
}

/** For each character of the normalised word, or for each of its bytes, where its own one stands. */
function unitsOf(word: string, { normalise, isByteLevel }: Alignment): number[] {
  const units: number[] = [];
  let at = 0;
  for (const character of word) {
    const made = normalise(character);
    const count = isByteLevel ? new TextEncoder().encode(made).length : lengthOf(made);
    for (let i = 0; i < count; i++) units.push(at);
    at += character.length;
  }
  return units;
}

function sizeOf(token: string, { isByteLevel, prefix, suffix }: Alignment): number {
  if (isByteLevel) return token.length;
  const from = token.startsWith(prefix) && token.length > prefix.length ? prefix.length : 0;
  const to = token.endsWith(suffix) ? token.length - suffix.length : token.length;
  return lengthOf(token.slice(from, to));
}

/** Characters that are no white space, nor stand for it. */
function lengthOf(text: string): number {
  return Array.from(text.replaceAll(SPACE, '').replace(/\s/gu, '')).length;
}

/** From the first of the characters to the end of the last one. */
function rangeOf(units: readonly number[], word: string): [number, number] {
  const last = units.at(-1) ?? 0;
  return [units[0] ?? 0, last + String.fromCodePoint(word.codePointAt(last) ?? 0).length];
}

function trimmed(text: string, from: number, to: number): Pick<Piece, 'from' | 'to'> {
  const own = text.slice(from, to);
  const start = from + own.length - own.trimStart().length;
  return { from: Math.min(start, to), to: Math.max(start, from + own.trimEnd().length) };
}
