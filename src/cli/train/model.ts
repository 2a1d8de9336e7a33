// What flags make of the model before it is trained: another head, a plain form whose units can be
// followed, a twin with fake quantisation.

import type { Dataset } from '../../data/dataset.ts';
import { momentsOf } from '../../data/moments.ts';
import { imagesNotStandardized, nothingToAdapt } from '../../errors/train.ts';
import { badFlagValue, usageProblem } from '../../errors/usage.ts';
import type { Model } from '../../graph/index.ts';
import { parsePattern } from '../../passes/select.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { exactRunner } from '../../runtime/runner.ts';
import { isFloat } from '../../tensor/dtype.ts';
import { addBottlenecks } from '../../train/bottleneck.ts';
import { setClasses } from '../../train/head.ts';
import type { ObjectiveName } from '../../train/objectives/index.ts';
import { isDataStatistic, standardizeInput, standardizeOutput } from '../../train/standardize.ts';
import { targetName } from '../../train/targets.ts';
import { dataOptionsFrom } from '../data/flags.ts';
import { preparePlain } from '../prune/prepare.ts';
import type { TrainingFlagValues } from './command.ts';
import { prepareQat, type Qat } from './qat.ts';
import { parseShare } from './settings.ts';
import { StructuredPruning } from './structured.ts';

const WEIGHTS_OF_ADAPTER = 4;
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

/** Where the graph itself is to change it is made plain, so that it can be followed. */
export async function plainWhereNeeded(given: Model, flags: TrainingFlagValues): Promise<Model> {
  if (flags.adapters === undefined && flags['prune-schedule'] !== 'structured') return given;
  const run = exactRunner();
  return preparePlain(given, run);
}

export function structuredPruning(
  original: Model,
  flags: TrainingFlagValues,
): StructuredPruning | undefined {
  if (flags['prune-schedule'] !== 'structured') return undefined;
  for (const [flag, why] of Object.entries(NOT_BESIDE_STRUCTURED)) {
    if (flags[flag as keyof typeof NOT_BESIDE_STRUCTURED] === undefined) continue;
    throw usageProblem(`--${flag} ${why}`, 'Leave out one of them.');
  }
  return new StructuredPruning(original, flags.freeze.map(parsePattern));
}

const NOT_BESIDE_STRUCTURED = {
  lora: 'leaves the weights alone that --prune-schedule structured is to prune',
  adapters: 'leaves the weights alone that --prune-schedule structured is to prune',
  'keep-half': 'writes a converted model, whose units --prune-schedule structured cannot cut',
  qat: 'writes a quantised model, whose units --prune-schedule structured cannot cut',
} as const;

/** Bottleneck adapters, put into the model itself; the names of their weights. */
export function bottlenecksOf(
  model: Model,
  path: string,
  { adapters: width, seed }: TrainingFlagValues,
  reporter: Reporter,
): Set<string> | undefined {
  if (width === undefined) return undefined;
  const names = addBottlenecks(model, { width, seed });
  if (names.size === 0) throw nothingToAdapt(path);
  reporter.info(`${names.size / WEIGHTS_OF_ADAPTER} adapters of width ${width}`);
  return names;
}

/** [N, columns] or [N, rows, columns]. */
const COLUMNS_RANK = 3;

/**
 * `--standardize`: steps around the model by the moments of the training data, in place; behind the first
 * output, too, where numbers are to be told.
 */
export async function standardize(
  model: Model,
  { standardize: isAsked }: TrainingFlagValues,
  data: Dataset,
  objective: ObjectiveName | undefined,
): Promise<void> {
  if (!isAsked || [...model.graph.initializers].some(isDataStatistic)) return;
  const moments = await momentsOf(data);
  const {
    inputs,
    outputs: [output],
  } = model.graph;
  for (const input of [...inputs]) {
    const own = moments.inputs.get(input.name);
    if (!own || !input.dtype || !isFloat(input.dtype)) continue;
    if ((input.shape?.length ?? 0) > COLUMNS_RANK) throw imagesNotStandardized(input.name);
    standardizeInput(model, input, own);
  }
  const target = moments.targets.get(targetName(moments.targets) ?? '');
  if (objective === 'regress' && output && target) standardizeOutput(model, output, target);
}

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
