// The graph that pruning starts from: functions are inlined, constants folded and weights no inputs, so
// that groups can be followed; BatchNormalization and everything that training knows stay.

import type { Model } from '../../graph/index.ts';
import { passes } from '../../passes/index.ts';
import type { Runner } from '../../passes/pass.ts';
import { runPasses } from '../../passes/run.ts';

const PLAIN = new Set([
  ...['drop-weight-inputs', 'extract-constants', 'inline-functions', 'inline-if'],
  ...['fold-constants', 'drop-dead'],
]);

/** A copy; the same function as the original. */
export async function preparePlain(original: Model, run: Runner): Promise<Model> {
  const chosen = passes.filter(({ name }) => PLAIN.has(name));
  const { model, changed } = await runPasses(original, chosen, { run, level: 'basic' });
  return changed ? model : original.clone();
}
