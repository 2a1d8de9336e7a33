// Names of classes, in the order of a model's outputs.

import { readFileSync } from 'node:fs';
import { emptyData, noSuchData } from '../errors/data.ts';

/** A name per line; empty lines are left out. */
export function readClasses(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw noSuchData(path);
    throw error;
  }
  const names = text.split('\n').map((line) => line.trim());
  const classes = names.filter((name) => name !== '');
  if (classes.length === 0) throw emptyData(path);
  return classes;
}
