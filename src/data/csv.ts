// Tables of separated values: .csv and .tsv, plain or gzipped.

import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { type CsvError, parse } from 'csv-parse';
import { brokenFile, brokenSample, emptyData } from '../errors/data.ts';
import { XformError } from '../errors/error.ts';
import type { BadSamples } from './bad-samples.ts';
import { isPacked, unpacked } from './packed.ts';
import type { Row, TableReader } from './table-reader.ts';

/** `asked`: the columns that the user named. */
export async function openCsv(
  path: string,
  asked: readonly string[],
  bad: BadSamples,
): Promise<TableReader> {
  const rows = rowsOf(path, bad, await delimiterOf(path));
  const { value: first, done } = await rows.next();
  if (done) throw emptyData(path);
  const next = await rows.next();
  const [names, second] = [first, next.value].map((row) => textsOf(row));
  const header = isHeader(names ?? [], second ?? [], asked);
  return {
    columns: header ? (names ?? []) : (names ?? []).map((_, i) => String(i)),
    async *rows() {
      if (!header) yield first;
      if (!next.done) yield next.value;
      yield* rows;
    },
  };
}

function textsOf(row: Row | undefined): string[] {
  return (row?.cells ?? []).map((cell) => String(cell).trim());
}

/**
 * Some cell of the first row is no number; numbers beside it are names only where texts have numbers
 * below them. The columns asked for are not numbers in place of names.
 */
function isHeader(
  names: readonly string[],
  second: readonly string[],
  asked: readonly string[],
): boolean {
  const isIndex = (text: string) => /^\d+$/.test(text);
  if (asked.length > 0 && asked.every((name) => isIndex(name) && !names.includes(name))) {
    return false;
  }
  const isText = (cell: string | undefined) => cell !== '' && Number.isNaN(Number(cell));
  const isNumber = (cell: string | undefined) => cell !== '' && !isText(cell);
  if (!names.some(isText)) return false;
  return !names.some(isNumber) || names.some((name, i) => isText(name) && isNumber(second[i]));
}

async function* rowsOf(path: string, bad: BadSamples, delimiter: string): AsyncGenerator<Row> {
  const parser = parse({
    bom: true,
    delimiter,
    skip_empty_lines: true,
    relax_quotes: true,
    info: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      if (error) bad.add(brokenSample(whereOf(path, error), error.message));
      return undefined;
    },
  });
  // What fails upstream destroys the parser, and so ends the loop below.
  pipeline(unpacked(path), parser, () => {});
  try {
    for await (const { info, record } of parser) {
      yield { where: `${path}:${info.lines}`, cells: record };
    }
  } catch (error) {
    if (error instanceof XformError || !('code' in (error as object))) throw error;
    throw brokenFile(whereOf(path, error as Error), (error as Error).message);
  }
}

function whereOf(path: string, error: Error): string {
  const line = (error as CsvError)['lines'];
  return typeof line === 'number' ? `${path}:${line}` : path;
}

/** The separator that the first line has most of. */
async function delimiterOf(path: string): Promise<string> {
  if (/\.tsv(\.gz)?$/i.test(path)) return '\t';
  const file = createReadStream(path, { end: 0xffff });
  let head = '';
  try {
    for await (const chunk of isPacked(path) ? file.pipe(createGunzip()) : file) {
      head += String(chunk);
      if (head.includes('\n')) break;
    }
  } catch {
    // The whole file is read next, and reports what is wrong with it.
  }
  const [first = ''] = head.split('\n', 1);
  const count = (separator: string) => first.split(separator).length;
  return [',', ';', '\t'].reduce((best, s) => (count(s) > count(best) ? s : best));
}
