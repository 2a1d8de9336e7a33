// Questions in the format of SQuAD (Rajpurkar et al. 2016, 2018): a JSON file whose articles hold paragraphs,
// and these a context with questions and their answers. As a table: id, question, context, answers.

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { brokenFile } from '../errors/data.ts';
import { BadSamples } from './bad-samples.ts';
import type { Dataset } from './dataset.ts';
import type { DataKind } from './kind.ts';
import { openQuestions } from './questions.ts';
import type { Row, TableReader } from './table-reader.ts';
import { openTexts } from './text-columns.ts';

interface Question {
  readonly id?: string;
  readonly question: string;
  readonly answers?: readonly { readonly text: string }[];
}

interface Paragraph {
  readonly context: string;
  readonly qas: readonly Question[];
}

interface Article {
  readonly paragraphs: readonly Paragraph[];
}

const COLUMNS = ['id', 'question', 'context', 'answers'];
/** Where the first paragraphs of a file begin. */
const HEAD = 4096;

export const squad: DataKind = {
  summary: 'questions in the format of SQuAD (.json)',
  matches: (path, isFolder) =>
    !isFolder && /\.json$/i.test(path) && /"paragraphs"/.test(headOf(path)),
  open(request): Promise<Dataset> {
    const { path, options } = request;
    const bad = new BadSamples(options);
    const reader: TableReader = { columns: COLUMNS, rows: () => rowsOf(path, readArticles(path)) };
    if (options.questions) return openQuestions(request, reader, bad);
    const columns = { text: 'question', textPair: 'context' };
    return openTexts({ ...request, options: { ...options, ...columns } }, reader, bad);
  },
};

function headOf(path: string): string {
  const bytes = new Uint8Array(HEAD);
  const file = openSync(path, 'r');
  try {
    return new TextDecoder().decode(bytes.subarray(0, readSync(file, bytes)));
  } finally {
    closeSync(file);
  }
}

function readArticles(path: string): readonly Article[] {
  let found: { readonly data?: readonly Article[] };
  try {
    found = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw brokenFile(path, `this is not JSON: ${(error as Error).message}`);
  }
  if (Array.isArray(found.data)) return found.data;
  throw brokenFile(path, 'a file like SQuAD has its articles in "data"');
}

async function* rowsOf(path: string, articles: readonly Article[]): AsyncIterable<Row> {
  for (const [a, { paragraphs }] of articles.entries()) {
    for (const [p, { context, qas }] of (paragraphs ?? []).entries()) {
      for (const [q, { id = '', question, answers }] of (qas ?? []).entries()) {
        const where = `${path}: data[${a}].paragraphs[${p}].qas[${q}]`;
        yield { where, cells: [id, question, context, (answers ?? []).map(({ text }) => text)] };
      }
    }
  }
}
