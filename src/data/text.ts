// Texts for language models: the tokens of a whole file, cut into windows of the model's length.

import { tokenTooLarge } from '../errors/data.ts';
import { arrayDataset } from './batch.ts';
import type { Dataset } from './dataset.ts';
import { Growing } from './growing.ts';
import type { DataKind, DataRequest } from './kind.ts';
import { openLines } from './lines.ts';
import { textOf } from './packed.ts';
import type { ArraySource } from './source.ts';
import { sequenceLength, type TextInput, textInputs } from './text-inputs.ts';
import { tokenRows } from './token-rows.ts';
import { openTokenizer, type Tokenizer, withTokenizer } from './tokenizer.ts';
import { vocabularySize } from './tokenizer-file.ts';

export const text: DataKind = {
  summary: 'text (.txt, also .gz) with --tokenizer; with --label 0, lines of a label and a text',
  matches: (path, isFolder) => !isFolder && /\.txt(\.gz)?$/i.test(path),
  open(request): Promise<Dataset> {
    const { label, text: column, tokenizer } = request.options;
    const isStream = label === undefined && column === undefined;
    // Without model and tokenizer there are no tokens to cut into windows.
    const isPlain = !request.inputs && tokenizer === undefined;
    return isStream && !isPlain ? openStream(request) : openLines(request);
  },
};

/** Tokens of a window, where there is no model to fix them. */
const OWN_LENGTH = 128;

/** Windows of `seq` tokens, a new one every `stride`. Parts of a split have no token in common. */
async function openStream({ path, inputs, options }: DataRequest): Promise<Dataset> {
  const { seq, split, part, ...others } = options;
  const plan = textInputs(inputs);
  const length = sequenceLength(plan, 'source', seq ?? (inputs ? undefined : OWN_LENGTH));
  const tokenizer = await openTokenizer(options.tokenizer, () => textOf(path));
  const size = vocabularySize(tokenizer.file);
  const all = await readTokens(path, tokenizer, size);
  const cut = Math.round(all.length * (split ?? 1));
  const tokens = part === 'rest' ? all.subarray(cut) : all.subarray(0, cut);
  const stride = options.stride ?? length;
  const count = Math.max(0, Math.floor((tokens.length - length) / stride) + 1);
  const windows = { path, count, length, stride, tokens };
  const sources = plan.map((one) => windowRows(one, windows));
  const share = split === undefined ? [] : [`part ${part ?? 'train'} of train=${split}, in order`];
  const every = stride === length ? '' : ` every ${stride}`;
  const notes = [`${tokens.length} tokens of ${size}, windows of ${length}${every}`, ...share];
  const dataset = await arrayDataset(path, sources, inputs, others, { notes });
  return withTokenizer(dataset, tokenizer);
}

type Ids = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Ids of the whole file, in memory, in the narrowest type. */
async function readTokens(path: string, tokenizer: Tokenizer, size: number): Promise<Ids> {
  const Narrowest = size <= 256 ? Uint8Array : size <= 65_536 ? Uint16Array : Uint32Array;
  const ids = new Growing<Ids>((length) => new Narrowest(length));
  for await (const piece of paragraphs(textOf(path))) ids.append(tokenizer.ids(piece));
  return ids.values;
}

const PIECE = 1 << 14;

/**
 * Pieces of a text of some thousand characters each, cut before a line break that follows a letter or a
 * digit: no tokenizer that cuts at white space has a token across it.
 */
async function* paragraphs(texts: AsyncIterable<string>): AsyncIterable<string> {
  let open = '';
  for await (const text of texts) {
    open += text;
    while (open.length > 2 * PIECE) {
      const at = open.slice(PIECE).search(/(?<=[\p{L}\p{N}])\r?\n/u);
      if (at < 0) break;
      yield open.slice(0, PIECE + at);
      open = open.slice(PIECE + at);
    }
  }
  if (open) yield open;
}

interface Windows {
  readonly path: string;
  readonly count: number;
  readonly length: number;
  readonly stride: number;
  readonly tokens: Ids;
}

function windowRows({ input, role }: TextInput, windows: Windows): ArraySource {
  const { path, count, length, stride, tokens } = windows;
  const { name, below = Number.POSITIVE_INFINITY } = input;
  const tooLarge = role === 'ids' ? tokens.find((id) => id >= below) : undefined;
  if (tooLarge !== undefined) throw tokenTooLarge(tooLarge, name, below);
  const valueAt = (row: number, i: number): number => {
    if (role === 'ids') return tokens[row * stride + i] as number;
    if (role === 'positions') return i;
    return role === 'mask' ? 1 : 0;
  };
  return tokenRows({ name, where: path, shape: [count, length], valueAt });
}
