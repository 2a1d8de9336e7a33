// Columns of a table on the way to arrays: numbers (lists of numbers, too), texts, labels.

import { basename } from 'node:path';
import { brokenSample, noSuchColumn, notANumber, unknownClass } from '../errors/data.ts';
import { XformError } from '../errors/error.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { BadSamples } from './bad-samples.ts';
import { Growing } from './growing.ts';
import type { DataOptions } from './options.ts';
import { type ArraySource, BytesSource, StoredArray, StringArray } from './source.ts';
import type { Row, TableReader } from './table-reader.ts';

const encoder = new TextEncoder();

/** Takes cells of each row: reads them all before it keeps any, so that a bad row leaves no trace. */
export interface Collector {
  /** Positions of the columns in the table. */
  readonly columns: readonly number[];
  /** Throws where the cells are not what they have to be; else a function that keeps them. */
  read(row: Row, names: readonly string[]): () => void;
}

/** Fills the collectors with all rows of a table. */
export async function collectRows(
  reader: TableReader,
  collectors: readonly Collector[],
  bad: BadSamples,
): Promise<void> {
  const wanted = [...new Set(collectors.flatMap(({ columns }) => columns))];
  for await (const row of reader.rows(wanted)) {
    try {
      const keep = collectors.map((collector) => collector.read(row, reader.columns));
      for (const one of keep) one();
    } catch (error) {
      bad.add(error);
    }
  }
}

/** The position of a column. */
export function columnIndex(path: string, { columns }: TableReader, column: string): number {
  const index = columns.indexOf(column);
  if (index < 0) throw noSuchColumn(column, columns, path);
  return index;
}

/** Numbers of one column, or of several side by side; where one column holds lists, [rows, …list]. */
export class NumberColumns implements Collector {
  readonly columns: readonly number[];
  readonly #values = new Growing((length) => new Float64Array(length));
  #shape: readonly number[] | undefined;

  constructor(columns: readonly number[]) {
    this.columns = columns;
  }

  read(row: Row, names: readonly string[]): () => void {
    const values: number[] = [];
    const shapes = this.columns.map((column) => {
      const name = names[column] ?? '';
      return readNumbers(row.cells[column], values, { where: row.where, name });
    });
    const isOneList = shapes.length === 1 && shapes[0]?.length;
    const shape = isOneList ? (shapes[0] as number[]) : [values.length];
    this.#shape ??= shape;
    if (shape.join() !== this.#shape.join()) {
      const [found, wanted] = [shape, this.#shape].map((s) => `[${s.join(', ')}]`);
      throw brokenSample(row.where, `the row holds ${found} numbers, those before it ${wanted}`);
    }
    return () => this.#values.append(values);
  }

  /** Of all rows so far, one after the other. */
  get values(): Float64Array {
    return this.#values.values;
  }

  /** Of single numbers, [rows, columns]; as a target, [rows]. */
  toArray(name: string, path: string, isTarget = false): ArraySource {
    const sample = this.#shape ?? [this.columns.length];
    const count =
      this.#values.length /
      Math.max(
        1,
        sample.reduce((a, b) => a * b, 1),
      );
    const isNumber = isTarget && sample.length === 1 && sample[0] === 1;
    const shape = isNumber ? [count] : [count, ...sample];
    return numbersArray(name, whereOf(path, name, this.columns), shape, this.#values.values);
  }
}

/** Texts of one column, or of several side by side. */
export class TextColumns implements Collector {
  readonly columns: readonly number[];
  readonly texts: string[] = [];

  constructor(columns: readonly number[]) {
    this.columns = columns;
  }

  read(row: Row): () => void {
    const texts = this.columns.map((column) => textOf(row.cells[column]));
    return () => {
      this.texts.push(...texts);
    };
  }

  toArray(name: string, path: string): ArraySource {
    const width = this.columns.length;
    const shape = [this.texts.length / width, width];
    const strings = this.texts.map((text) => encoder.encode(text));
    return new StringArray({ name, where: whereOf(path, name, this.columns), shape }, strings);
  }
}

/** A column of what it holds, for data without a model: numbers, lists of them, or texts. */
export class OpenColumn implements Collector {
  readonly columns: readonly number[];
  readonly #rows: Row[] = [];

  constructor(column: number) {
    this.columns = [column];
  }

  read(row: Row): () => void {
    return () => {
      this.#rows.push(row);
    };
  }

  toArray(name: string, path: string): ArraySource {
    const fill = <T extends Collector>(column: T): T => {
      for (const row of this.#rows) column.read(row, [])();
      return column;
    };
    try {
      return fill(new NumberColumns(this.columns)).toArray(name, path, true);
    } catch (error) {
      if (!(error instanceof XformError)) throw error;
      return fill(new TextColumns(this.columns)).toArray(name, path);
    }
  }
}

/** The target: numbers, lists of numbers, or names of classes, which become positions in their list. */
export class LabelColumn implements Collector {
  readonly columns: readonly number[];
  readonly #given: readonly string[] | undefined;
  readonly #texts: string[] = [];
  readonly #lists: NumberColumns;

  constructor(column: number, classes: readonly string[] | undefined) {
    this.columns = [column];
    this.#given = classes;
    this.#lists = new NumberColumns([column]);
  }

  read(row: Row, names: readonly string[]): () => void {
    const cell = row.cells[this.columns[0] as number];
    if (isList(cell)) return this.#lists.read(row, names);
    const text = textOf(typeof cell === 'boolean' && !this.#given ? Number(cell) : cell).trim();
    if (text === '') throw brokenSample(row.where, 'the row has no label');
    if (this.#given?.includes(text) === false) throw unknownClass(text, this.#given, row.where);
    return () => {
      this.#texts.push(text);
    };
  }

  /** Those given, else all names in their order; undefined where labels are numbers. */
  get classes(): readonly string[] | undefined {
    if (this.#given) return this.#given;
    const isName = (text: string) => Number.isNaN(Number(text));
    return this.#texts.some(isName) ? [...new Set(this.#texts)].sort() : undefined;
  }

  toArray(path: string): ArraySource {
    const texts = this.#texts;
    if (texts.length === 0) return this.#lists.toArray('labels', path, true);
    const { classes } = this;
    const position = new Map(classes?.map((name, i) => [name, i]));
    const numbers = texts.map((text) => (classes ? position.get(text) : Number(text)) as number);
    return numbersArray('labels', whereOf(path, 'labels', this.columns), [texts.length], numbers);
  }
}

/** The column of --label; undefined where none is asked for. */
export function labelColumn(
  path: string,
  reader: TableReader,
  { label, classes }: DataOptions,
): LabelColumn | undefined {
  return label === undefined
    ? undefined
    : new LabelColumn(columnIndex(path, reader, label), classes);
}

export function numbersArray(
  name: string,
  where: string,
  shape: readonly number[],
  values: readonly number[] | Float64Array,
): ArraySource {
  const dtype = values.every(Number.isSafeInteger) ? 'int64' : 'float64';
  const bytes = Tensor.of(dtype, shape, values).bytes();
  return new StoredArray({ name, where, dtype, shape }, new BytesSource(bytes));
}

function whereOf(path: string, name: string, columns: readonly number[]): string {
  const what = columns.length === 1 ? `column "${name}"` : `${columns.length} columns`;
  return `${basename(path)}: ${what}`;
}

function isList(cell: unknown): cell is ArrayLike<unknown> {
  return Array.isArray(cell) || (ArrayBuffer.isView(cell) && !(cell instanceof DataView));
}

/** Appends the numbers of a cell, however deep its lists; its shape, [] for a number. */
function readNumbers(
  cell: unknown,
  values: number[],
  at: { readonly where: string; readonly name: string },
): number[] {
  if (!isList(cell)) {
    values.push(readNumber(cell, at));
    return [];
  }
  const shapes = Array.from(cell, (item) => readNumbers(item, values, at));
  if (shapes.some((shape) => shape.join() !== shapes[0]?.join())) {
    throw brokenSample(at.where, `the lists in column "${at.name}" differ in length`);
  }
  return [shapes.length, ...(shapes[0] ?? [])];
}

/** An empty cell is a missing value; tree models know what to do with NaN. */
function readNumber(cell: unknown, at: { where: string; name: string }): number {
  if (cell === null || cell === undefined) return Number.NaN;
  if (typeof cell === 'number' || typeof cell === 'bigint') return Number(cell);
  if (typeof cell === 'boolean') return cell ? 1 : 0;
  const text = textOf(cell).trim();
  if (text === '' || /^(na|nan|null)$/i.test(text)) return Number.NaN;
  const number = typeof cell === 'string' ? Number(text) : Number.NaN;
  if (Number.isNaN(number)) throw notANumber(at.where, at.name, textOf(cell));
  return number;
}

function textOf(cell: unknown): string {
  if (typeof cell === 'string') return cell;
  if (cell === null || cell === undefined) return '';
  const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
  return typeof cell === 'object' ? JSON.stringify(cell, plain) : String(cell);
}
