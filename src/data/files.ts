// Folders of labelled files: class folders (the label is the folder), files with a labels.csv beside them,
// files with the label in their names.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse } from 'csv-parse/sync';
import {
  brokenFile,
  brokenSample,
  emptyData,
  labelPatternFails,
  unknownClass,
} from '../errors/data.ts';
import type { BadSamples } from './bad-samples.ts';
import { numbersArray } from './columns.ts';
import type { DataOptions } from './options.ts';
import type { ArraySource } from './source.ts';

const LABELS = 'labels.csv';

export interface LabelledFile {
  readonly path: string;
  /** Undefined: the files have no labels. */
  readonly label: number | undefined;
}

export interface LabelledFiles {
  readonly files: readonly LabelledFile[];
  readonly classes: readonly string[] | undefined;
}

/** Whether a folder has such files, itself or in class folders. */
export function hasFiles(path: string, isOne: (name: string) => boolean): boolean {
  return filesIn(path, isOne).length > 0 || classFolders(path, isOne).length > 0;
}

/**
 * Labels are positions in `classes`, else in the sorted names of the classes. Which class a file is of, a
 * `labels.csv` says, or its path (`labelPattern`), or the folder that it is in.
 */
export function listFiles(
  path: string,
  isOne: (name: string) => boolean,
  { classes, labelPattern }: Pick<DataOptions, 'classes' | 'labelPattern'>,
  bad: BadSamples,
): LabelledFiles {
  if (existsSync(join(path, LABELS))) return labelled(namedByTable(path, bad), classes, bad);
  const own = filesIn(path, isOne).map((name) => join(path, name));
  if (labelPattern !== undefined) {
    const paths = own.length > 0 ? own : inClassFolders(path, isOne).map((file) => file.path);
    const named = namedByPattern(path, paths, labelPattern, bad);
    return takingTurns(labelled(named, classes, bad));
  }
  if (own.length > 0) {
    return { files: own.map((file) => ({ path: file, label: undefined })), classes: undefined };
  }
  const order = classes ?? classFolders(path, isOne);
  return takingTurns(labelled(inClassFolders(path, isOne), order, bad));
}

/** `labels` [files]; none where the files have none. */
export function labelArrays(path: string, files: readonly LabelledFile[]): ArraySource[] {
  const labels = files.flatMap(({ label }) => (label === undefined ? [] : [label]));
  return labels.length > 0 ? [numbersArray('labels', path, [labels.length], labels)] : [];
}

/** A file and the name of its class. */
interface NamedFile {
  readonly path: string;
  readonly name: string;
  /** Where the name is said, for messages. */
  readonly at: string;
}

/** Where no order is given, names that are all numbers are the labels themselves. */
function labelled(
  named: readonly NamedFile[],
  order: readonly string[] | undefined,
  bad: BadSamples,
): LabelledFiles {
  if (!order && named.every(({ name }) => /^\d+$/.test(name))) {
    const files = named.map(({ path, name }) => ({ path, label: Number(name) }));
    return { files, classes: undefined };
  }
  const classes = order ?? [...new Set(named.map(({ name }) => name))].sort();
  const positions = new Map(classes.map((name, i) => [name, i]));
  const files = named.flatMap(({ path, name, at }) => {
    const label = positions.get(name);
    if (label === undefined) bad.add(unknownClass(name, classes, at));
    return label === undefined ? [] : [{ path, label }];
  });
  return { files, classes };
}

/** The first of each class, then the second of each …: the first N samples are of all classes. */
function takingTurns({ files, classes }: LabelledFiles): LabelledFiles {
  const seen = new Map<number, number>();
  const ranked = files.map((file) => {
    const { label = 0 } = file;
    const rank = seen.get(label) ?? 0;
    seen.set(label, rank + 1);
    return { file, rank };
  });
  ranked.sort((a, b) => a.rank - b.rank);
  return { files: ranked.map(({ file }) => file), classes };
}

function inClassFolders(path: string, isOne: (name: string) => boolean): NamedFile[] {
  return classFolders(path, isOne).flatMap((name) =>
    filesIn(join(path, name), isOne).map((file) => {
      const at = join(path, name, file);
      return { path: at, name, at };
    }),
  );
}

function namedByPattern(
  folder: string,
  paths: readonly string[],
  pattern: string,
  bad: BadSamples,
): NamedFile[] {
  const expression = new RegExp(pattern);
  return paths.flatMap((path) => {
    const name = expression.exec(relative(folder, path))?.[1];
    if (name === undefined) bad.add(labelPatternFails(path, pattern));
    return name === undefined ? [] : [{ path, name, at: path }];
  });
}

/** labels.csv: a file and its class per row, with or without a header. */
function namedByTable(path: string, bad: BadSamples): NamedFile[] {
  const where = join(path, LABELS);
  const rows = readRows(where);
  const isHeader = rows[0] !== undefined && !existsSync(join(path, rows[0][0] ?? ''));
  const named: NamedFile[] = [];
  rows.forEach(([file = '', name = ''], i) => {
    if (i === 0 && isHeader) return;
    const at = `${where}:${i + 1}`;
    if (!existsSync(join(path, file))) bad.add(brokenSample(at, `there is no file "${file}"`));
    else if (name === '') bad.add(brokenSample(at, `"${file}" has no label`));
    else named.push({ path: join(path, file), name, at });
  });
  if (named.length === 0) throw emptyData(where, bad);
  return named;
}

function readRows(where: string): string[][] {
  try {
    return parse(readFileSync(where), { bom: true, skip_empty_lines: true, trim: true });
  } catch (error) {
    throw brokenFile(where, (error as Error).message);
  }
}

function filesIn(folder: string, isOne: (name: string) => boolean): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.') && isOne(name) && statSync(join(folder, name)).isFile())
    .sort();
}

/** Folders with such files in them, by name. */
function classFolders(path: string, isOne: (name: string) => boolean): string[] {
  return readdirSync(path)
    .filter((name) => !name.startsWith('.') && statSync(join(path, name)).isDirectory())
    .filter((name) => filesIn(join(path, name), isOne).length > 0)
    .sort();
}
