// Lines of text as tables: "label text", text alone, or two files whose lines belong together.

import { statSync } from 'node:fs';
import { brokenSample, countsDiffer, noSuchData } from '../errors/data.ts';
import { BadSamples } from './bad-samples.ts';
import type { Dataset } from './dataset.ts';
import type { DataRequest } from './kind.ts';
import { linesOf } from './packed.ts';
import type { Row, TableReader } from './table-reader.ts';
import { openTexts } from './text-columns.ts';

/**
 * A sample per line: column 0 is the whole line, or, where a label is asked for, its first word; the
 * rest is then column 1.
 */
export function openLines(request: DataRequest): Promise<Dataset> {
  const { path, options } = request;
  const bad = new BadSamples(options);
  const isLabelled = options.label !== undefined;
  const text = options.text ?? (isLabelled ? '1' : '0');
  const reader: TableReader = {
    columns: isLabelled ? ['0', '1'] : ['0'],
    async *rows(): AsyncIterable<Row> {
      for await (const { line, text } of linesOf(path)) {
        if (text.trim() === '') continue;
        const where = `${path}:${line}`;
        const found = isLabelled ? /^(\S+)\s+(.*)$/.exec(text) : [text, text];
        if (found) yield { where, cells: found.slice(1) };
        else bad.add(brokenSample(where, 'the line is not a label and a text'));
      }
    },
  };
  return openTexts({ ...request, options: { ...options, text } }, reader, bad);
}

/** `a.en,b.de`: line by line, a source and its target. */
export function openParallel(request: DataRequest): Promise<Dataset> {
  const { path, options } = request;
  const [a = '', b = '', ...more] = path.split(',').map((file) => file.trim());
  for (const file of [a, b]) if (!statSync(file, { throwIfNoEntry: false })) throw noSuchData(file);
  if (more.length > 0) throw noSuchData(path);
  const reader: TableReader = {
    columns: ['0', '1'],
    rows: () => linesOfBoth(a, b),
  };
  const columns = { text: '0', textTarget: '1' };
  return openTexts(
    { ...request, options: { ...options, ...columns } },
    reader,
    new BadSamples(options),
  );
}

async function* linesOfBoth(a: string, b: string): AsyncIterable<Row> {
  const others = linesOf(b)[Symbol.asyncIterator]();
  let count = 0;
  let rest = 0;
  for await (const { line, text } of linesOf(a)) {
    const other = await others.next();
    count += 1;
    if (!other.done) yield { where: `${a}:${line}`, cells: [text, other.value.text] };
    else rest += 1;
  }
  let more = 0;
  while (!(await others.next()).done) more += 1;
  if (rest + more > 0) throw countsDiffer(`${a},${b}`, [a, count], [b, count - rest + more]);
}
