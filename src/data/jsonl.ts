// JSON lines: one object per line, .jsonl or .ndjson, plain or gzipped. Columns are the keys of the first.

import { brokenSample, emptyData } from '../errors/data.ts';
import type { BadSamples } from './bad-samples.ts';
import { linesOf } from './packed.ts';
import type { TableReader } from './table-reader.ts';

interface Entry {
  readonly where: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export async function openJsonLines(path: string, bad: BadSamples): Promise<TableReader> {
  const entries = entriesOf(path, bad);
  const { value: first, done } = await entries.next();
  if (done) throw emptyData(path);
  const columns = Object.keys(first.value);
  const rowOf = ({ where, value }: Entry) => ({ where, cells: columns.map((name) => value[name]) });
  return {
    columns,
    async *rows() {
      yield rowOf(first);
      for await (const entry of entries) yield rowOf(entry);
    },
  };
}

async function* entriesOf(path: string, bad: BadSamples): AsyncGenerator<Entry> {
  for await (const { line, text } of linesOf(path)) {
    if (text.trim() === '') continue;
    const where = `${path}:${line}`;
    try {
      yield { where, value: parseObject(text, where) };
    } catch (error) {
      bad.add(error);
    }
  }
}

function parseObject(text: string, where: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw brokenSample(where, `the line is not JSON: ${(error as Error).message}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw brokenSample(where, 'the line is not a JSON object');
}
