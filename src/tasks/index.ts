// The tasks of `eval`.

import { unknownName } from '../errors/usage.ts';
import { classify } from './classify.ts';
import { detect } from './detect.ts';
import { embed } from './embed.ts';
import { lm } from './lm.ts';
import { qa } from './qa.ts';
import { rank } from './rank.ts';
import { forecast, regress } from './regress.ts';
import { segment } from './segment.ts';
import type { Task } from './task.ts';
import { translate } from './translate.ts';

export const TASKS: readonly Task[] = [
  classify,
  regress,
  forecast,
  detect,
  segment,
  lm,
  qa,
  translate,
  embed,
  rank,
];

export function taskNamed(name: string): Task {
  const found = TASKS.find((task) => task.name === name);
  if (found) return found;
  const known = TASKS.map((task) => task.name);
  throw unknownName('task', name, known);
}
