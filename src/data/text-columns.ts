// Texts of a table as tokens, a sample each: one text, or two, with a label; or a source and its target
// for encoder-decoder models.

import { targetInputMissing, tokenTooLarge } from '../errors/data.ts';
import type { BadSamples } from './bad-samples.ts';
import { arrayDataset } from './batch.ts';
import { collectRows, columnIndex, labelColumn, TextColumns } from './columns.ts';
import type { Dataset } from './dataset.ts';
import type { DataRequest } from './kind.ts';
import type { DataOptions } from './options.ts';
import type { ArraySource } from './source.ts';
import type { TableReader } from './table-reader.ts';
import { sequenceLength, type TextInput, type TextRole, textInputs } from './text-inputs.ts';
import { tokenRows } from './token-rows.ts';
import { type Encoded, openTokenizer, type Tokenizer, withTokenizer } from './tokenizer.ts';
import { specialTokens, vocabularySize } from './tokenizer-file.ts';

/** Marks places of a target that count for nothing, as in PyTorch's cross-entropy. */
const IGNORED = -100;

/** What a text that the model is to write is called among the targets. */
const REFERENCES = 'references';

/** Columns that the options name. */
export function askedColumns(options: DataOptions): string[] {
  const { label, text, textPair, textTarget, features = [] } = options;
  const one = [label, text, textPair, textTarget].filter((name) => name !== undefined);
  return [...one, ...features];
}

/** The dataset of a table of texts. */
export async function openTexts(
  { path, inputs, options }: DataRequest,
  reader: TableReader,
  bad: BadSamples,
): Promise<Dataset> {
  const { text = '', textPair, textTarget } = options;
  const collector = (name: string) => new TextColumns([columnIndex(path, reader, name)]);
  const first = collector(text);
  const other = textTarget ?? textPair;
  const second = other === undefined ? undefined : collector(other);
  const labels = labelColumn(path, reader, options);
  const others = [second, labels].filter((column) => column !== undefined);
  await collectRows(reader, [first, ...others], bad);
  const extras = { classes: labels?.classes, bad };
  const target = labels ? [labels.toArray(path)] : [];
  if (!inputs && options.tokenizer === undefined) {
    const arrays = [
      first.toArray(text, path),
      ...(second ? [second.toArray(other ?? '', path)] : []),
    ];
    return arrayDataset(path, [...arrays, ...target], inputs, options, extras);
  }
  const tokenizer = await openTokenizer(options.tokenizer, () => [
    ...first.texts,
    ...(second?.texts ?? []),
  ]);
  const translated = textTarget === undefined ? undefined : second;
  const isFed = translated !== undefined && !options.isWritten;
  const plan = textInputs(inputs, isFed);
  const all = [...first.texts, ...(second?.texts ?? [])];
  const lengths = inputs ? undefined : all.map((one) => tokenizer.ids(one).length);
  const texts = { path, plan, seq: options.seq ?? longest(lengths), tokenizer };
  const arrays = isFed
    ? translations(texts, first.texts, translated.texts)
    : encodedTexts(texts, first.texts, translated ? undefined : second?.texts);
  if (translated && !isFed) arrays.push(translated.toArray(REFERENCES, path));
  const notes = [
    `${vocabularySize(tokenizer.file)} tokens in the vocabulary`,
    ...(lengths ? [describeLengths(lengths)] : []),
  ];
  const sources = [...arrays, ...target];
  const nameOf = (row: number) => first.texts[row] ?? '';
  const dataset = await arrayDataset(path, sources, inputs, options, { ...extras, notes, nameOf });
  return withTokenizer(dataset, tokenizer);
}

/** Room for the longest text and special tokens around it. */
function longest(lengths: readonly number[] | undefined): number | undefined {
  return lengths && lengths.reduce((a, b) => Math.max(a, b), 0) + 2;
}

function describeLengths(lengths: readonly number[]): string {
  const sorted = lengths.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return `texts of ${at(0)} to ${at(1)} tokens, half of them ${at(0.5)} at most, 95 % ${at(0.95)}`;
}

export interface Texts {
  readonly path: string;
  readonly plan: readonly TextInput[];
  readonly seq: number | undefined;
  readonly tokenizer: Tokenizer;
}

/** A text, or a pair of texts, with special tokens; padded. */
export function encodedTexts(
  { path, plan, seq, tokenizer }: Texts,
  texts: readonly string[],
  pairs: readonly string[] | undefined,
): ArraySource[] {
  const length = sequenceLength(plan, 'source', seq);
  const encode = remembered((row) => tokenizer.encode(texts[row] ?? '', pairs?.[row], length));
  const rows = {
    path,
    count: texts.length,
    length,
    encode,
    pad: specialTokens(tokenizer.file).pad,
  };
  return plan.map((one) => inputRows(one, rows));
}

/**
 * Source and target of encoder-decoder models: the decoder is fed the target behind a start token, and
 * `labels` are the target with its end; the places after it are -100.
 */
function translations(
  { path, plan, seq, tokenizer }: Texts,
  texts: readonly string[],
  translated: readonly string[],
): ArraySource[] {
  const own = plan.filter(({ side }) => side === 'target');
  if (!own.some(({ role }) => role === 'ids')) {
    throw targetInputMissing(plan.map(({ input }) => input.name));
  }
  const others = plan.filter(({ side }) => side === 'source');
  const sources = encodedTexts({ path, plan: others, seq, tokenizer }, texts, undefined);
  const length = sequenceLength(plan, 'target', seq);
  const { pad, start = pad, end } = specialTokens(tokenizer.file);
  const labels = remembered((row) => {
    const ids = tokenizer
      .ids(translated[row] ?? '')
      .slice(0, end === undefined ? length : length - 1);
    return { ids: end === undefined ? ids : [...ids, end], types: [] };
  });
  const shifted = (row: number) => ({ ids: [start, ...labels(row).ids.slice(0, -1)], types: [] });
  const rows = { path, count: texts.length, length, encode: remembered(shifted), pad };
  const target = tokenRows({
    name: 'labels',
    where: path,
    shape: [texts.length, length],
    valueAt: (row, i) => labels(row).ids[i] ?? IGNORED,
  });
  return [...sources, ...own.map((one) => inputRows(one, rows)), target];
}

export interface EncodedRows {
  readonly path: string;
  readonly count: number;
  readonly length: number;
  readonly pad: number;
  encode(row: number): Encoded;
}

export function inputRows({ input, role }: TextInput, rows: EncodedRows): ArraySource {
  const { path, count, length, pad, encode } = rows;
  const { below = Number.POSITIVE_INFINITY } = input;
  const values: Record<TextRole, (row: number, i: number) => number> = {
    ids: (row, i) => {
      const id = encode(row).ids[i] ?? pad;
      if (id >= below) throw tokenTooLarge(id, input.name, below);
      return id;
    },
    mask: (row, i) => (i < encode(row).ids.length ? 1 : 0),
    types: (row, i) => encode(row).types[i] ?? 0,
    positions: (_, i) => i,
  };
  return tokenRows({
    name: input.name,
    where: path,
    shape: [count, length],
    valueAt: values[role],
  });
}

/** Texts are tokenised when they are first asked for, and once. */
function remembered(encode: (row: number) => Encoded): (row: number) => Encoded {
  const found: (Encoded | undefined)[] = [];
  return (row) => {
    found[row] ??= encode(row);
    return found[row];
  };
}
