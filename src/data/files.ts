// Folders of labelled files: class folders (the label is the folder), or files with a labels.csv beside
// them.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { brokenFile, emptyData, unknownClass } from '../errors/data.ts';
import type { BadSamples } from './bad-samples.ts';
import { numbersArray } from './columns.ts';
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

/** Labels are positions in `order`, else in the sorted names of the classes. */
export function listFiles(
  path: string,
  isOne: (name: string) => boolean,
  order: readonly string[] | undefined,
  bad: BadSamples,
): LabelledFiles {
  if (existsSync(join(path, LABELS))) return withLabels(path, order, bad);
  const own = filesIn(path, isOne);
  if (own.length === 0) return byClass(path, isOne, order, bad);
  const files = own.map((name) => ({ path: join(path, name), label: undefined }));
  return { files, classes: undefined };
}

/** `labels` [files]; none where the files have none. */
export function labelArrays(path: string, files: readonly LabelledFile[]): ArraySource[] {
  const labels = files.flatMap(({ label }) => (label === undefined ? [] : [label]));
  return labels.length > 0 ? [numbersArray('labels', path, [labels.length], labels)] : [];
}

/** The first of each class, then the second of each …: the first N samples are of all classes. */
function byClass(
  path: string,
  isOne: (name: string) => boolean,
  order: readonly string[] | undefined,
  bad: BadSamples,
): LabelledFiles {
  const folders = classFolders(path, isOne);
  const classes = order ?? folders;
  const columns = folders.map((folder) => {
    const names = filesIn(join(path, folder), isOne);
    const label = classes.indexOf(folder);
    const files = names.map((name) => ({ path: join(path, folder, name), label }));
    if (label >= 0) return files;
    for (const file of files) bad.add(unknownClass(folder, classes, file.path));
    return [];
  });
  const longest = Math.max(0, ...columns.map((column) => column.length));
  const files = Array.from({ length: longest }, (_, i) => columns.flatMap((one) => one[i] ?? []));
  return { files: files.flat(), classes };
}

/** labels.csv: a file and its class per row, with or without a header. */
function withLabels(
  path: string,
  order: readonly string[] | undefined,
  bad: BadSamples,
): LabelledFiles {
  const where = join(path, LABELS);
  const rows = readRows(where);
  const isHeader = rows[0] !== undefined && !existsSync(join(path, rows[0][0] ?? ''));
  const named: { path: string; name: string; at: string }[] = [];
  rows.forEach(([file = '', name = ''], i) => {
    if (i === 0 && isHeader) return;
    const at = `${where}:${i + 1}`;
    if (!existsSync(join(path, file))) bad.add(brokenFile(at, `there is no file "${file}"`));
    else if (name === '') bad.add(brokenFile(at, `"${file}" has no label`));
    else named.push({ path: join(path, file), name, at });
  });
  if (named.length === 0) throw emptyData(where);
  if (!order && named.every(({ name }) => /^\d+$/.test(name))) {
    const files = named.map((file) => ({ path: file.path, label: Number(file.name) }));
    return { files, classes: undefined };
  }
  const classes = order ?? [...new Set(named.map(({ name }) => name))].sort();
  const files = named.flatMap(({ path: file, name, at }) => {
    const label = classes.indexOf(name);
    if (label < 0) bad.add(unknownClass(name, classes, at));
    return label < 0 ? [] : [{ path: file, label }];
  });
  return { files, classes };
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
