// A folder of images: class folders (the label is the folder), or files with a labels.csv beside them.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { brokenFile, dataProblem, emptyData } from '../../errors/data.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { arrayDataset } from '../batch.ts';
import type { Dataset } from '../dataset.ts';
import type { DataKind, DataRequest } from '../kind.ts';
import { type ArraySource, BytesSource, StoredArray } from '../source.ts';
import { openImages, readableImages } from './array.ts';
import { IMAGE_NAME } from './decode.ts';

const LABELS = 'labels.csv';

export const imageFolder: DataKind = {
  summary: 'a folder of images: in class folders, or with labels.csv',
  matches: (path, isFolder) =>
    isFolder && (imagesIn(path).length > 0 || classFolders(path).length > 0),
  async open(request): Promise<Dataset> {
    const listed = listImages(request);
    return openListed(request, listed);
  },
};

interface Listed {
  readonly files: readonly string[];
  /** One per file; undefined: the images have no labels. */
  readonly labels: readonly number[] | undefined;
  readonly classes: readonly string[] | undefined;
}

async function openListed(
  { path, inputs, options }: DataRequest,
  listed: Listed,
): Promise<Dataset> {
  const bad = new Set<string>();
  const files = options.skipBad
    ? await readableImages(listed.files, (file) => bad.add(file))
    : listed.files;
  const labels = listed.labels?.filter((_, i) => !bad.has(listed.files[i] as string));
  const images = await openImages(files, inputs, options);
  const sources: ArraySource[] = labels ? [images, labelArray(labels, path)] : [images];
  const skipped = [...bad].slice(0, 5).map((file) => basename(file));
  const notes = [
    images.text,
    listed.classes ? `${listed.classes.length} classes` : '',
    bad.size > 0 ? `${bad.size} broken files skipped: ${skipped.join(', ')}` : '',
  ];
  return arrayDataset(path, sources, inputs, options, { notes, classes: listed.classes });
}

/** Whole numbers, one per sample. */
export function labelArray(labels: readonly number[], path: string): ArraySource {
  const shape = [labels.length];
  const bytes = Tensor.of('int64', shape, labels).bytes();
  return new StoredArray(
    { name: 'labels', where: path, dtype: 'int64', shape },
    new BytesSource(bytes),
  );
}

function listImages({ path, options }: DataRequest): Listed {
  const own = imagesIn(path);
  if (existsSync(join(path, LABELS))) return withLabels(path, options.classes);
  if (own.length > 0) {
    return { files: own.map((name) => join(path, name)), labels: undefined, classes: undefined };
  }
  return byClass(path, classFolders(path), options.classes);
}

/** The first of each class, then the second of each …: the first N samples are of all classes. */
function byClass(path: string, folders: readonly string[], order?: readonly string[]): Listed {
  const classes = order ?? folders;
  const columns = folders.map((folder) => {
    const label = classes.indexOf(folder);
    if (label < 0) throw unknownClass(folder, classes, join(path, folder));
    return { label, files: imagesIn(join(path, folder)).map((name) => join(path, folder, name)) };
  });
  const files: string[] = [];
  const labels: number[] = [];
  const longest = Math.max(...columns.map((column) => column.files.length));
  for (let i = 0; i < longest; i++) {
    for (const { label, files: own } of columns) {
      const file = own[i];
      if (file === undefined) continue;
      files.push(file);
      labels.push(label);
    }
  }
  return { files, labels, classes };
}

/** labels.csv: a file and its class per row, with or without a header. */
function withLabels(path: string, order?: readonly string[]): Listed {
  const where = join(path, LABELS);
  const rows = readRows(where);
  const [first] = rows;
  const isHeader = first !== undefined && !existsSync(join(path, first[0] ?? ''));
  const body = isHeader ? rows.slice(1) : rows;
  if (body.length === 0) throw emptyData(where);
  const names = body.map((row) => row[1]?.trim() ?? '');
  body.forEach(([file = ''], i) => {
    const line = i + (isHeader ? 2 : 1);
    if (!existsSync(join(path, file)))
      throw brokenFile(`${where}:${line}`, `there is no image "${file}"`);
    if (names[i] === '') throw brokenFile(`${where}:${line}`, `"${file}" has no label`);
  });
  const files = body.map(([file = '']) => join(path, file));
  const isNumbered = names.every((name) => /^\d+$/.test(name));
  if (isNumbered && !order) return { files, labels: names.map(Number), classes: undefined };
  const classes = order ?? [...new Set(names)].sort();
  const labels = names.map((name, i) => {
    const label = classes.indexOf(name);
    if (label < 0) throw unknownClass(name, classes, files[i] ?? where);
    return label;
  });
  return { files, labels, classes };
}

function readRows(where: string): string[][] {
  try {
    return parse(readFileSync(where), { bom: true, skip_empty_lines: true, trim: true });
  } catch (error) {
    throw brokenFile(where, (error as Error).message);
  }
}

function unknownClass(name: string, classes: readonly string[], where: string) {
  return dataProblem(
    `"${name}" is not among the ${classes.length} classes given`,
    where,
    `The classes are: ${classes.slice(0, 20).join(', ')}${classes.length > 20 ? ', …' : ''}.`,
  );
}

function imagesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => IMAGE_NAME.test(name) && !name.startsWith('.'))
    .sort();
}

/** Folders with images in them, by name. */
function classFolders(path: string): string[] {
  return readdirSync(path)
    .filter((name) => !name.startsWith('.') && statSync(join(path, name)).isDirectory())
    .filter((name) => imagesIn(join(path, name)).length > 0)
    .sort();
}
