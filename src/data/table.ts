// Tables: .csv and .tsv, plain or gzipped. Columns named after model inputs feed them; a model with
// one input gets the feature columns side by side.

import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { type CsvError, parse } from 'csv-parse';
import { brokenFile, dataProblem, emptyData, noSuchColumn, notANumber } from '../errors/data.ts';
import { Tensor } from '../tensor/tensor.ts';
import { arrayDataset } from './batch.ts';
import type { Dataset, InputSpec } from './dataset.ts';
import type { DataKind } from './kind.ts';
import type { DataOptions } from './options.ts';
import { type ArraySource, BytesSource, StoredArray, StringArray } from './source.ts';

const NAME = /\.(csv|tsv)(\.gz)?$/i;
const encoder = new TextEncoder();

export const table: DataKind = {
  summary: 'a table (.csv, .tsv, also .gz) with named columns',
  matches: (path, isFolder) => !isFolder && NAME.test(path),
  async open({ path, inputs, options }): Promise<Dataset> {
    const sources = await readTable(path, inputs, options);
    return arrayDataset(path, sources, inputs, options);
  },
};

/** A column, or several side by side, on the way to an array. */
interface Collector {
  readonly name: string;
  readonly columns: readonly number[];
  readonly isText: boolean;
  readonly numbers: number[];
  readonly texts: string[];
}

async function readTable(
  path: string,
  inputs: readonly InputSpec[],
  options: DataOptions,
): Promise<ArraySource[]> {
  let collectors: Collector[] | undefined;
  let columns: string[] = [];
  for await (const { line, row } of rowsOf(path)) {
    if (!collectors) {
      const isHeader = row.some((cell) => cell.trim() !== '' && Number.isNaN(Number(cell)));
      columns = isHeader ? row.map((cell) => cell.trim()) : row.map((_, i) => String(i));
      collectors = planColumns(path, columns, inputs, options);
      if (isHeader) continue;
    }
    for (const collector of collectors) collect(collector, row, { path, line, columns });
  }
  if (!collectors) throw emptyData(path);
  return collectors.map((collector) => toArray(collector, path));
}

interface Row {
  readonly line: number;
  readonly row: readonly string[];
}

async function* rowsOf(path: string): AsyncIterable<Row> {
  const packed = /\.gz$/i.test(path);
  const parser = parse({
    bom: true,
    delimiter: await delimiterOf(path, packed),
    skip_empty_lines: true,
    relax_quotes: true,
    info: true,
  });
  // What fails upstream destroys the parser, and so ends the loop below.
  const unpack = packed ? [createGunzip()] : [];
  pipeline([createReadStream(path), ...unpack, parser], () => {});
  try {
    for await (const { info, record } of parser) {
      yield { line: info.lines, row: record };
    }
  } catch (error) {
    const line = (error as CsvError)['lines'];
    const where = typeof line === 'number' ? `${path}:${line}` : path;
    if ('code' in (error as object)) throw brokenFile(where, (error as Error).message);
    throw error;
  }
}

/** The separator that the first line has most of. */
async function delimiterOf(path: string, packed: boolean): Promise<string> {
  if (/\.tsv(\.gz)?$/i.test(path)) return '\t';
  const file = createReadStream(path, { end: 0xffff });
  let head = '';
  try {
    for await (const chunk of packed ? file.pipe(createGunzip()) : file) {
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

function planColumns(
  path: string,
  columns: readonly string[],
  inputs: readonly InputSpec[],
  options: DataOptions,
): Collector[] {
  const indexOf = (column: string) => {
    const index = columns.indexOf(column);
    if (index < 0) throw noSuchColumn(column, columns, path);
    return index;
  };
  const collector = (name: string, indices: readonly number[], isText: boolean): Collector => ({
    name,
    columns: indices,
    isText,
    numbers: [],
    texts: [],
  });
  const label = options.label === undefined ? [] : [indexOf(options.label)];
  const target = label.map((index) => collector('labels', [index], true));
  const isNamed = inputs.every((input) => columns.includes(input.name));
  if (isNamed && options.features === undefined) {
    return [
      ...inputs.map((i) => collector(i.name, [indexOf(i.name)], i.dtype === 'string')),
      ...target,
    ];
  }
  const [only, ...others] = inputs;
  if (!only || others.length > 0) {
    throw noSuchColumn(inputs.find((i) => !columns.includes(i.name))?.name ?? '', columns, path);
  }
  const features =
    options.features?.map(indexOf) ?? columns.map((_, i) => i).filter((i) => !label.includes(i));
  checkWidth(path, features.length, only);
  return [collector(only.name, features, only.dtype === 'string'), ...target];
}

function checkWidth(path: string, width: number, input: InputSpec): void {
  const wanted = input.shape.at(-1);
  if (input.shape.length !== 2 || typeof wanted !== 'number' || wanted === width) return;
  throw dataProblem(
    `the table gives ${width} feature columns, but input "${input.name}" takes ${wanted}`,
    path,
    'Choose the columns with --features, and the target with --label.',
  );
}

function collect(
  collector: Collector,
  row: readonly string[],
  at: { path: string; line: number; columns: readonly string[] },
): void {
  for (const column of collector.columns) {
    const cell = row[column] ?? '';
    if (collector.isText) {
      collector.texts.push(cell);
      continue;
    }
    // An empty cell is a missing value; tree models know what to do with NaN.
    const number = cell.trim() === '' ? Number.NaN : Number(cell);
    if (Number.isNaN(number) && cell.trim() !== '' && !/^(na|nan|null)$/i.test(cell.trim())) {
      throw notANumber(at.path, at.line, at.columns[column] ?? '', cell);
    }
    collector.numbers.push(number);
  }
}

function toArray(collector: Collector, path: string): ArraySource {
  const { name, columns, isText, texts } = collector;
  const width = columns.length;
  const where = `${basename(path)}: ${width === 1 ? `column "${name}"` : `${width} columns`}`;
  const numeric = isText ? wholeNumbers(texts) : undefined;
  if (isText && (name !== 'labels' || !numeric)) {
    const shape = [texts.length / width, width];
    const strings = texts.map((text) => encoder.encode(text));
    return new StringArray(
      { name, where, shape: name === 'labels' ? [texts.length] : shape },
      strings,
    );
  }
  const values = numeric ?? collector.numbers;
  const shape = name === 'labels' ? [values.length] : [values.length / width, width];
  const isWhole = values.every(Number.isSafeInteger);
  const dtype = isWhole ? 'int64' : 'float64';
  const bytes = Tensor.of(dtype, shape, values).bytes();
  return new StoredArray({ name, where, dtype, shape }, new BytesSource(bytes));
}

/** Labels that are all numbers are numbers. */
function wholeNumbers(texts: readonly string[]): number[] | undefined {
  const numbers = texts.map((text) => (text.trim() === '' ? Number.NaN : Number(text)));
  return numbers.some(Number.isNaN) ? undefined : numbers;
}
