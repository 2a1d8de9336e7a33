// What flags make of the model before it is trained: another head, a plain form whose units can be
// followed, a twin with fake quantisation.

import type { Dataset } from '../data/dataset.ts';
import { badFlagValue, usageProblem } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';
import { parsePattern } from '../passes/select.ts';
import type { Reporter } from '../report/reporter.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { COMPARABLE, createRunner } from '../runtime/runner.ts';
import { setClasses } from '../train/head.ts';
import { dataOptionsFrom } from './data-flags.ts';
import { preparePlain } from './prune-prepare.ts';
import { prepareQat, type Qat } from './train-qat.ts';
import { parseShare } from './train-settings.ts';
import { StructuredPruning } from './train-structured.ts';
import type { TrainingFlagValues } from './training-command.ts';

/** Share of a run in which scales are learned. */
const SCALES_FREEZE = 0.8;

/** `--head classify:10`, `--expand-classes 20`. */
export function setHead(model: Model, flags: TrainingFlagValues): void {
  const { head, seed } = flags;
  const more = flags['expand-classes'];
  if (more !== undefined) setClasses(model, more, true, seed);
  if (head === undefined) return;
  const classes = /^classify:([1-9]\d*)$/.exec(head)?.[1];
  if (!classes) throw badFlagValue('head', head, 'a kind and a number, as in classify:10');
  setClasses(model, Number(classes), false, seed);
}

/** With --prune-schedule structured the model is made plain, so that its units can be followed. */
export async function structuredOf(given: Model, flags: TrainingFlagValues) {
  if (flags['prune-schedule'] !== 'structured') return { original: given, structured: undefined };
  for (const [flag, why] of Object.entries(NOT_BESIDE_STRUCTURED)) {
    if (flags[flag as 'lora' | 'qat'] === undefined) continue;
    throw usageProblem(`--${flag} ${why}`, 'Leave out one of them.');
  }
  const run = createRunner({ ...COMPARABLE, threads: 1, optimization: 'disabled' });
  const original = await preparePlain(given, run);
  return { original, structured: new StructuredPruning(original, flags.freeze.map(parsePattern)) };
}

const NOT_BESIDE_STRUCTURED = {
  lora: 'leaves the weights alone that --prune-schedule structured is to prune',
  qat: 'writes a quantised model, whose units --prune-schedule structured cannot cut',
} as const;

export interface QatSource {
  readonly path: string;
  readonly original: Model;
  readonly data: Dataset;
  readonly batch: number;
  readonly session: SessionOptions;
  readonly reporter: Reporter;
}

/** The quantised model and its trainable twin, where --qat asks for them. */
export async function qatOf(
  flags: TrainingFlagValues,
  source: QatSource,
): Promise<Qat | undefined> {
  if (!flags.qat) return undefined;
  return prepareQat({
    ...source,
    type: flags.qat,
    source: { ...dataOptionsFrom(flags), data: flags.data ?? '' },
    samples: flags['qat-samples'],
    freeze: parseShare('qat-freeze', flags['qat-freeze']) ?? SCALES_FREEZE,
    skip: flags['qat-skip'].map(parsePattern),
    seed: flags.seed,
  });
}
