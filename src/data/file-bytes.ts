// Files as sequences of bytes, for models that tell what a file is: its first and last bytes as integers.

import { fstatSync } from 'node:fs';
import { dataProblem, emptyData } from '../errors/data.ts';
import { badFlagValue } from '../errors/usage.ts';
import { BadSamples } from './bad-samples.ts';
import { arrayDataset } from './batch.ts';
import type { Dataset } from './dataset.ts';
import { labelArrays, listFiles } from './files.ts';
import type { DataRequest } from './kind.ts';
import { readAt, withFile } from './open-file.ts';
import { tokenRows } from './token-rows.ts';

/** `head` bytes from the start and `tail` from the end, one after the other. */
export interface BytePlan {
  readonly head: number;
  readonly tail: number;
  /** Fills up short files: behind the head, before the tail. */
  readonly pad: number;
  /** White space at both ends of the file does not count. */
  readonly strip: boolean;
  /** Bytes at either end that are looked at. */
  readonly block: number;
  /** Files with fewer bytes cannot be used. */
  readonly least: number;
}

/** Labels and the like belong to the folder, not to its samples. */
const isSample = (name: string) => name !== 'labels.csv';

export const FILE_BYTES = 'a folder of class folders of any files, with --bytes';

/** Rows `bytes` [files, head + tail], and `labels` where the files have some. */
export async function openFileBytes(
  { path, inputs, options }: DataRequest,
  plan: BytePlan,
): Promise<Dataset> {
  const bad = new BadSamples(options);
  const listed = listFiles(path, isSample, options, bad);
  const usable = listed.files.filter((file) => {
    if (sizeOf(file.path) >= plan.least) return true;
    bad.add(dataProblem(`the file has fewer than ${plan.least} bytes`, file.path));
    return false;
  });
  if (usable.length === 0) throw emptyData(path, bad);
  const length = plan.head + plan.tail;
  let last: { row: number; values: readonly number[] } | undefined;
  const valuesOf = (row: number) => {
    if (last?.row !== row) last = { row, values: readEnds(usable[row]?.path ?? '', plan) };
    return last.values;
  };
  const source = tokenRows({
    name: 'bytes',
    where: path,
    shape: [usable.length, length],
    valueAt: (row, i) => valuesOf(row)[i] as number,
  });
  const sources = [source, ...labelArrays(path, usable)];
  const notes = [`first ${plan.head} and last ${plan.tail} bytes`];
  const nameOf = (row: number) => usable[row]?.path ?? '';
  const extras = { notes, classes: listed.classes, bad, nameOf };
  return arrayDataset(path, sources, inputs, options, extras);
}

function sizeOf(path: string): number {
  return withFile(path, (file) => fstatSync(file).size);
}

/** The numbers of one sample, [head + tail]. */
function readEnds(path: string, plan: BytePlan): number[] {
  const { head, tail, pad, strip } = plan;
  const block = Math.max(plan.block, head, tail);
  const [first, last] = withFile(path, (file) => {
    const { size } = fstatSync(file);
    const length = Math.min(size, block);
    return [readAt(file, 0, length), readAt(file, size - length, length)] as const;
  });
  const from = strip ? first.findIndex((byte) => !isSpace(byte)) : 0;
  const to = strip ? last.findLastIndex((byte) => !isSpace(byte)) + 1 : last.length;
  const begin = from < 0 ? [] : [...first.subarray(from, from + head)];
  const end = [...last.subarray(Math.max(0, to - tail), to)];
  const padding = (count: number) => new Array<number>(count).fill(pad);
  return [...begin, ...padding(head - begin.length), ...padding(tail - end.length), ...end];
}

function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

const NUMBERS = ['head', 'tail', 'pad', 'block', 'min'];

/** `head=1024,tail=1024,pad=256,strip,block=4096,min=8`. */
export function parseBytes(text: string): BytePlan {
  const words = text.split(',').map((word) => word.trim().split('=', 2));
  const given = new Map(words.map(([key, value]) => [key, value]));
  const isKnown = words.every(([key = '', value]) =>
    key === 'strip' ? value === undefined : NUMBERS.includes(key) && /^\d+$/.test(value ?? ''),
  );
  const number = (key: string, usual: number) => Number(given.get(key) ?? usual);
  const [head, tail] = [number('head', 0), number('tail', 0)];
  if (!isKnown || head + tail === 0) {
    throw badFlagValue('bytes', text, 'how many, as in --bytes head=1024,tail=1024,pad=256,strip');
  }
  return {
    head,
    tail,
    pad: number('pad', 0),
    strip: given.has('strip'),
    block: number('block', 0),
    least: number('min', 0),
  };
}
