// The content of a Hugging Face tokenizer.json, as far as it matters here, and the files that stand for
// characters and for bytes: BPE without merges.

/** https://huggingface.co/docs/tokenizers: what `Tokenizer.save` writes. */
export interface TokenizerFile {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: object | null;
  readonly pre_tokenizer: PreTokenizer | null;
  readonly post_processor: object | null;
  readonly decoder: object | null;
  readonly padding?: { readonly pad_id: number } | null;
  readonly model: {
    readonly type: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges?: readonly unknown[];
    readonly unk_token?: string | null;
    readonly continuing_subword_prefix?: string | null;
  };
}

export interface PreTokenizer {
  readonly type: string;
  readonly behavior?: string;
  readonly pattern?: object;
  /** Of a sequence. */
  readonly pretokenizers?: readonly PreTokenizer[];
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

interface BpeParts {
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  /** Tokens that texts do not spell: the first of the vocabulary. */
  readonly special: readonly string[];
  readonly isByteLevel: boolean;
  /** Cut into words first, as GPT-2 does. */
  readonly hasWords: boolean;
}

/** A tokenizer of type BPE as Hugging Face writes it. */
export function bpeFile({
  vocab,
  merges,
  special,
  isByteLevel,
  hasWords,
}: BpeParts): TokenizerFile {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const added = special.map((content) => ({
    id: vocab.get(content) as number,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const file = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: isByteLevel ? { ...byteLevel, use_regex: hasWords } : null,
    post_processor: null,
    decoder: isByteLevel ? { ...byteLevel, use_regex: hasWords } : { type: 'Fuse' },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges,
    },
  };
  return file;
}

/** The characters (code points) of texts in their order. */
export async function charFile(
  texts: AsyncIterable<string> | Iterable<string>,
  special: readonly string[] = [],
): Promise<TokenizerFile> {
  const found = new Set<string>();
  for await (const text of texts) for (const character of text) found.add(character);
  const order = (character: string) => character.codePointAt(0) ?? 0;
  const characters = [...found].sort((a, b) => order(a) - order(b));
  const vocab = new Map([...special, ...characters].map((token, id) => [token, id]));
  return bpeFile({ vocab, merges: [], special, isByteLevel: false, hasWords: false });
}

/** Ids are the bytes of UTF-8; special tokens come after them. */
export function byteFile(special: readonly string[] = []): TokenizerFile {
  const tokens = [...byteTokens(), ...special];
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  return bpeFile({ vocab, merges: [], special, isByteLevel: true, hasWords: false });
}

export function isCharFile({ model, pre_tokenizer, normalizer }: TokenizerFile): boolean {
  return model.type === 'BPE' && !model.merges?.length && !pre_tokenizer && !normalizer;
}

export function isByteFile({ model, pre_tokenizer, normalizer }: TokenizerFile): boolean {
  const isBare = model.type === 'BPE' && !model.merges?.length && !normalizer;
  const isByteLevel = pre_tokenizer?.type === 'ByteLevel';
  return isBare && isByteLevel && byteTokens().every((token, byte) => model.vocab[token] === byte);
}

/** Whether characters of tokens stand for bytes. */
export function isByteLevel({ pre_tokenizer }: TokenizerFile): boolean {
  const has = (one: PreTokenizer): boolean =>
    one.type === 'ByteLevel' || (one.pretokenizers?.some(has) ?? false);
  return pre_tokenizer !== null && has(pre_tokenizer);
}

/**
 * The character that stands for each byte in byte-level tokenizers (Radford et al. 2019, encoder.py of
 * GPT-2): itself where it can be seen, else the next free one from U+0100 on.
 */
export function byteTokens(): string[] {
  const isSeen = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(isSeen(byte) ? byte : next++),
  );
}

const PAD = ['[PAD]', '<pad>', '<|pad|>', '<|padding|>', '<PAD>'];
const START = ['<s>', '[CLS]', '<bos>', '<|startoftext|>', '<|begin_of_text|>'];
const END = ['</s>', '[SEP]', '<eos>', '<|endoftext|>', '<|end_of_text|>', '<|im_end|>'];
const MASK = ['[MASK]', '<mask>', '<|mask|>'];

export interface SpecialTokens {
  /** Fills up short texts: the token that ends texts, else 0, where none is named so. */
  readonly pad: number;
  readonly start: number | undefined;
  readonly end: number | undefined;
  readonly mask: number | undefined;
  /** All that texts do not spell. */
  readonly all: readonly number[];
}

/** Special tokens, by the names they usually have. */
export function specialTokens({ model, added_tokens, padding }: TokenizerFile): SpecialTokens {
  const added = new Map(added_tokens.map(({ content, id }) => [content, id]));
  const vocab = Array.isArray(model.vocab) ? {} : model.vocab;
  const find = (names: readonly string[]) =>
    names.map((name) => added.get(name) ?? vocab[name]).find((id) => id !== undefined);
  const end = find(END);
  return {
    pad: padding?.pad_id ?? find(PAD) ?? end ?? 0,
    start: find(START),
    end,
    mask: find(MASK),
    all: added_tokens.flatMap(({ id, special }) => (special ? [id] : [])),
  };
}

/** Ids are below it. */
export function vocabularySize({ model, added_tokens }: TokenizerFile): number {
  const { vocab } = model;
  const ids = Array.isArray(vocab) ? [vocab.length - 1] : Object.values(vocab);
  return 1 + [...ids, ...added_tokens.map(({ id }) => id)].reduce((a, b) => Math.max(a, b), -1);
}
