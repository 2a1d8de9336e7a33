// Text files, plain or gzipped: as a stream, line by line.

import { createReadStream } from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { brokenFile } from '../errors/data.ts';

export interface Line {
  /** Counted from 1. */
  readonly line: number;
  /** Without its end. */
  readonly text: string;
  readonly end: string;
}

/** The bytes of a file, unpacked where its name ends in `.gz`. What fails ends the stream with an error. */
export function unpacked(path: string): Readable {
  const file = createReadStream(path);
  return isPacked(path) ? (pipeline(file, createGunzip(), () => {}) as unknown as Readable) : file;
}

export function isPacked(path: string): boolean {
  return /\.gz$/i.test(path);
}

/** The text of a file (UTF-8, a byte order mark left out), piece by piece. */
export async function* textOf(path: string): AsyncIterable<string> {
  const decoder = new TextDecoder();
  try {
    for await (const chunk of unpacked(path)) yield decoder.decode(chunk, { stream: true });
  } catch (error) {
    if ('code' in (error as object)) throw brokenFile(path, (error as Error).message);
    throw error;
  }
  yield decoder.decode();
}

/** Lines end at LF or CR LF; other separators of Unicode may stand within JSON. */
export async function* linesOf(path: string): AsyncIterable<Line> {
  let line = 1;
  let open = '';
  for await (const piece of textOf(path)) {
    const texts = (open + piece).split('\n');
    open = texts.pop() ?? '';
    for (const text of texts) yield lineOf(line++, text, '\n');
  }
  if (open) yield lineOf(line, open, '');
}

function lineOf(line: number, text: string, end: string): Line {
  return text.endsWith('\r')
    ? { line, text: text.slice(0, -1), end: `\r${end}` }
    : { line, text, end };
}
