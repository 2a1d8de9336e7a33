// Labels are positions among the names of classes: where a model has another number of scores, its order of
// classes is another one, too.

import type { Warning } from '../report/report.ts';

export function classWarning(
  classes: readonly string[] | undefined,
  scores: number | undefined,
  where: string,
): Warning[] {
  if (!classes || !scores || classes.length === scores) return [];
  const message = `the data has ${classes.length} classes, the model scores of ${scores}: name the classes in the order of its outputs with --classes`;
  return [{ code: 'classes-differ', message, where }];
}
