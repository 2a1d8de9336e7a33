// Tables: separated values, JSON lines, Parquet. Columns named after model inputs feed them; a model
// with one input gets the feature columns side by side.

import { dataProblem, noSuchColumn } from '../errors/data.ts';
import { BadSamples } from './bad-samples.ts';
import { arrayDataset } from './batch.ts';
import {
  type Collector,
  collectRows,
  columnIndex,
  labelColumn,
  NumberColumns,
  OpenColumn,
  TextColumns,
} from './columns.ts';
import { openCsv } from './csv.ts';
import type { Dataset, InputSpec } from './dataset.ts';
import { openJsonLines } from './jsonl.ts';
import type { DataKind, DataRequest } from './kind.ts';
import type { DataOptions } from './options.ts';
import { openParquet } from './parquet.ts';
import { openQuestions } from './questions.ts';
import { openSeries } from './series.ts';
import type { ArraySource } from './source.ts';
import type { TableReader } from './table-reader.ts';
import { askedColumns, openTexts } from './text-columns.ts';

const NAME = /\.(csv|tsv|jsonl|ndjson)(\.gz)?$|\.parquet$/i;

export const table: DataKind = {
  summary: 'a table (.csv, .tsv, .jsonl, also .gz; .parquet) with named columns',
  matches: (path, isFolder) => !isFolder && NAME.test(path),
  async open(request): Promise<Dataset> {
    const { path, inputs, options } = request;
    const bad = new BadSamples(options);
    const reader = await openTable(path, options, bad);
    if (options.questions) return openQuestions(request, reader, bad);
    if (options.text !== undefined) return openTexts(request, reader, bad);
    if (options.horizon !== undefined) return openSeries(request, reader, bad);
    const { sources, classes } = await readColumns(request, reader, bad);
    return arrayDataset(path, sources, inputs, options, { classes, bad });
  },
};

function openTable(path: string, options: DataOptions, bad: BadSamples): Promise<TableReader> {
  if (/\.parquet$/i.test(path)) return openParquet(path);
  if (/json(l)?(\.gz)?$/i.test(path)) return openJsonLines(path, bad);
  return openCsv(path, askedColumns(options), bad);
}

/** Arrays for the inputs, and `labels`. */
async function readColumns(
  { path, inputs, options }: DataRequest,
  reader: TableReader,
  bad: BadSamples,
): Promise<{ sources: ArraySource[]; classes: readonly string[] | undefined }> {
  const target = labelColumn(path, reader, options);
  const plans = planInputs(path, reader, inputs, options);
  const collectors = [...plans.values()];
  await collectRows(reader, target ? [...collectors, target] : collectors, bad);
  const arrays = [...plans].map(([name, collector]) => collector.toArray(name, path));
  const sources = target ? [...arrays, target.toArray(path)] : arrays;
  return { sources, classes: target?.classes };
}

/** What is collected for each input, by its name. */
function planInputs(
  path: string,
  reader: TableReader,
  inputs: readonly InputSpec[] | undefined,
  { label, features }: DataOptions,
): Map<string, Collector & { toArray(name: string, path: string): ArraySource }> {
  const { columns } = reader;
  if (!inputs) {
    const names = features ?? columns.filter((name) => name !== label);
    return new Map(
      names.map((name) => [name, new OpenColumn(columnIndex(path, reader, name))] as const),
    );
  }
  const collector = ({ dtype }: InputSpec, indices: readonly number[]) =>
    dtype === 'string' ? new TextColumns(indices) : new NumberColumns(indices);
  const unnamed = inputs.find((input) => !columns.includes(input.name));
  if (!unnamed && features === undefined) {
    return new Map(inputs.map((i) => [i.name, collector(i, [columns.indexOf(i.name)])]));
  }
  const [only, ...others] = inputs;
  if (!only || others.length > 0) throw noSuchColumn(unnamed?.name ?? '', columns, path);
  const chosen =
    features?.map((name) => columnIndex(path, reader, name)) ??
    columns.flatMap((name, i) => (name === label ? [] : [i]));
  if (chosen.length > 1) checkWidth(path, chosen.length, only);
  return new Map([[only.name, collector(only, chosen)]]);
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
