// Names of classes, in the order of a model's outputs.

import { existsSync, readFileSync } from 'node:fs';
import { brokenFile, emptyData, noSuchData } from '../errors/data.ts';
import { IMAGENET } from './imagenet.ts';

/**
 * A name per line, empty lines left out; or `id2label` of a Hugging Face config.json; or `imagenet`, its
 * 1000 WordNet ids.
 */
export function readClasses(path: string): readonly string[] {
  if (path === 'imagenet' && !existsSync(path)) return IMAGENET;
  const text = readText(path);
  const classes = text.trimStart().startsWith('{') ? labelsOf(text, path) : linesOf(text);
  if (classes.length === 0) throw emptyData(path);
  return classes;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw noSuchData(path);
    throw error;
  }
}

function linesOf(text: string): string[] {
  const names = text.split('\n').map((line) => line.trim());
  return names.filter((name) => name !== '');
}

/** `{"id2label": {"0": "cat", "1": "dog"}}` */
function labelsOf(text: string, path: string): string[] {
  let config: { readonly id2label?: Readonly<Record<string, unknown>> };
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw brokenFile(path, `this is not JSON: ${(error as Error).message}`);
  }
  const { id2label } = config;
  if (!id2label) throw brokenFile(path, 'the file has no "id2label"');
  const entries = Object.entries(id2label).sort(([a], [b]) => Number(a) - Number(b));
  const isDense = entries.every(([id, name], i) => Number(id) === i && typeof name === 'string');
  if (!isDense) throw brokenFile(path, '"id2label" does not name the classes 0, 1, 2 and so on');
  return entries.map(([, name]) => name as string);
}
