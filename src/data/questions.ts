// Questions about a context, with all answers that are right. For models that tell where an answer begins
// and ends, a sample is a window of the context behind its question; a question has as many windows as it
// takes. For models that write the answer, a sample is question and context together.

import { brokenFile, questionTooLong } from '../errors/data.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { BadSamples } from './bad-samples.ts';
import { arrayDataset } from './batch.ts';
import { chooseSamples, describeChoice } from './choice.ts';
import { type Collector, collectRows, columnIndex, numbersArray, TextColumns } from './columns.ts';
import type { Dataset } from './dataset.ts';
import type { DataRequest } from './kind.ts';
import type { Piece } from './pieces.ts';
import { type ArraySource, StringArray } from './source.ts';
import type { Row, TableReader } from './table-reader.ts';
import { encodedTexts, inputRows, type Texts } from './text-columns.ts';
import { sequenceLength, textInputs } from './text-inputs.ts';
import { openTokenizer, type Tokenizer, withTokenizer } from './tokenizer.ts';
import { specialTokens } from './tokenizer-file.ts';

interface Questions {
  readonly questions: readonly string[];
  readonly contexts: readonly string[];
  readonly answers: readonly (readonly string[])[];
}

export async function openQuestions(
  { path, inputs, options }: DataRequest,
  reader: TableReader,
  bad: BadSamples,
): Promise<Dataset> {
  const { text = '', textPair = '', label = '', limit, split, ...others } = options;
  const column = (name: string) => columnIndex(path, reader, name);
  const questions = new TextColumns([column(text)]);
  const contexts = new TextColumns([column(textPair)]);
  const answers = new AnswerColumn(column(label));
  await collectRows(reader, [questions, contexts, answers], bad);
  const chosen = await chooseSamples(questions.texts.length, options);
  const of = <T>(all: readonly T[]) => chosen.map((row) => all[row] as T);
  const found = {
    questions: of(questions.texts),
    contexts: of(contexts.texts),
    answers: of(answers.answers),
  };
  const tokenizer = await openTokenizer(options.tokenizer, () => [
    ...found.questions,
    ...found.contexts,
  ]);
  const texts = { path, plan: textInputs(inputs), seq: options.seq, tokenizer };
  const isSpan = options.questions === 'span';
  const { sources, notes } = isSpan
    ? windowed(texts, found, options.stride)
    : { sources: written(texts, found), notes: [] };
  const asked = [`${chosen.length} questions`, ...describeChoice(options), ...notes];
  const dataset = await arrayDataset(path, sources, inputs, others, { notes: asked, bad });
  return withTokenizer(dataset, tokenizer);
}

/** Answers as a list of texts, as `{"text": [...]}`, or as one text; none where there is none. */
class AnswerColumn implements Collector {
  readonly columns: readonly number[];
  readonly answers: (readonly string[])[] = [];

  constructor(column: number) {
    this.columns = [column];
  }

  read(row: Row): () => void {
    const answers = answersOf(row.cells[this.columns[0] as number], row.where);
    return () => {
      this.answers.push(answers);
    };
  }
}

function answersOf(cell: unknown, where: string): string[] {
  if (cell === null || cell === undefined || cell === '') return [];
  if (typeof cell === 'string')
    return /^\s*[[{]/.test(cell) ? answersOf(parsed(cell), where) : [cell];
  const list = Array.isArray(cell) ? cell : (cell as { text?: unknown }).text;
  if (Array.isArray(list) && list.every((one) => typeof one === 'string')) return list;
  throw brokenFile(where, 'answers are a text, a list of texts, or {"text": [...]}');
}

/** JSON in a cell of a table of texts; the text itself where it is none. */
function parsed(cell: string): unknown {
  try {
    return JSON.parse(cell);
  } catch {
    return [cell];
  }
}

function written(texts: Texts, { questions, contexts, answers }: Questions): ArraySource[] {
  return [...encodedTexts(texts, questions, contexts), answerRows(texts.path, answers)];
}

/** Part of a context, in tokens, behind its question. */
interface Window {
  readonly question: number;
  readonly from: number;
  readonly to: number;
}

function windowed(texts: Texts, found: Questions, stride: number | undefined) {
  const { path, plan, tokenizer } = texts;
  const length = sequenceLength(plan, 'source', texts.seq);
  const pieces = piecesByText(tokenizer);
  const asked = found.questions.map((question) => tokenizer.ids(question));
  const special = tokenizer.join([], []).ids.length;
  const windows = found.contexts.flatMap((context, question) => {
    const room = length - special - (asked[question]?.length ?? 0);
    if (room < 1) throw questionTooLong(found.questions[question] ?? '', length);
    const step = Math.min(stride ?? Math.ceil(room / 2), room);
    return windowsOf(pieces(context).length, room, step).map(([from, to]) => {
      return { question, from, to };
    });
  });
  const encode = lastOne((row) => {
    const { question, from, to } = windows[row] as Window;
    const own = pieces(found.contexts[question] ?? '').slice(from, to);
    return {
      ...tokenizer.join(
        asked[question] ?? [],
        own.map(({ id }) => id),
      ),
      own,
    };
  });
  const { pad } = specialTokens(tokenizer.file);
  const rows = { path, count: windows.length, length, encode, pad };
  const numbers = windows.map(({ question }) => question);
  const contexts = found.contexts.map((context) => new TextEncoder().encode(context));
  const sources = [
    ...plan.map((one) => inputRows(one, rows)),
    numbersArray('question', path, [windows.length], numbers),
    placeRows(rows),
    strings(
      path,
      'context',
      numbers.map((question) => contexts[question] as Uint8Array),
      1,
    ),
    answerRows(
      path,
      numbers.map((question) => found.answers[question] ?? []),
    ),
  ];
  return { sources, notes: [`windows of ${length} tokens`] };
}

/** Windows over so many tokens; the last one ends with them. */
function windowsOf(count: number, room: number, step: number): [from: number, to: number][] {
  const windows: [number, number][] = [];
  for (let from = 0; ; from += step) {
    windows.push([from, Math.min(count, from + room)]);
    if (from + room >= count) return windows;
  }
}

/** Several questions are about one context. */
function piecesByText(tokenizer: Tokenizer): (text: string) => readonly Piece[] {
  const known = new Map<string, readonly Piece[]>();
  return (text) => {
    const found = known.get(text) ?? tokenizer.pieces(text);
    known.set(text, found);
    return found;
  };
}

/** Inputs of a sample are filled one after the other. */
function lastOne<T>(make: (row: number) => T): (row: number) => T {
  let last: { readonly row: number; readonly made: T } | undefined;
  return (row) => {
    if (last?.row !== row) last = { row, made: make(row) };
    return last.made;
  };
}

/** For each token where it stands in the context, -1 for those of the question; [windows, length, 2]. */
function placeRows(rows: {
  readonly path: string;
  readonly count: number;
  readonly length: number;
  encode(row: number): { readonly start: number; readonly own: readonly Piece[] };
}): ArraySource {
  const { path, count, length, encode } = rows;
  return {
    name: 'places',
    where: path,
    dtype: 'int32',
    shape: [count, length, 2],
    rows(wanted) {
      const values = new Int32Array(wanted.length * length * 2).fill(-1);
      wanted.forEach((row, r) => {
        const { start, own } = encode(row);
        own.forEach(({ from, to }, i) => {
          values.set([from, to], 2 * (r * length + start + i));
        });
      });
      return Tensor.of('int32', [wanted.length, length, 2], values);
    },
  };
}

/** [rows, most]; places without an answer are empty. */
function answerRows(path: string, answers: readonly (readonly string[])[]): ArraySource {
  const most = answers.reduce((a, { length }) => Math.max(a, length), 1);
  const encoder = new TextEncoder();
  const cells = answers.flatMap((own) =>
    Array.from({ length: most }, (_, i) => encoder.encode(own[i] ?? '')),
  );
  return strings(path, 'answers', cells, most);
}

function strings(path: string, name: string, cells: readonly Uint8Array[], width: number) {
  return new StringArray({ name, where: path, shape: [cells.length / width, width] }, cells);
}
