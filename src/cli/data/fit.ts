// What of some data does not fit a model, all of it at once: commands stop at the first.

import type { Dataset } from '../../data/dataset.ts';
import { inputSpecs, unfeedableInputs } from '../../data/inputs.ts';
import { openDataset } from '../../data/open.ts';
import type { DataOptions } from '../../data/options.ts';
import { labelsBeyondOutput, targetShapeDiffers } from '../../errors/data.ts';
import { XformError } from '../../errors/error.ts';
import { cannotFeed } from '../../errors/verify.ts';
import type { Model, Value } from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import { isFloat } from '../../tensor/dtype.ts';
import type { Survey } from './survey.ts';

export interface Fit {
  /** The data as the model takes it; undefined where it does not. */
  readonly dataset: Dataset | undefined;
  readonly problems: readonly XformError[];
}

/** Opens data for a model; what stands in the way comes back as problems. */
export async function fitData(
  data: string,
  model: Model,
  path: string,
  options: DataOptions,
): Promise<Fit> {
  const unfeedable = unfeedableInputs(model);
  if (unfeedable.length > 0)
    return { dataset: undefined, problems: [cannotFeed(path, unfeedable)] };
  const inputs = inputSpecs(model);
  const whole = await attempt(() => openDataset(data, inputs, options));
  if (!(whole instanceof XformError)) return { dataset: whole, problems: [] };
  const problems = [whole];
  for (const input of inputs.length > 1 ? inputs : []) {
    const alone = await attempt(() => openDataset(data, [input], options));
    if (!(alone instanceof XformError) || !alone.message.includes(`"${input.name}"`)) continue;
    if (problems.every(({ message }) => message !== alone.message)) problems.push(alone);
  }
  return { dataset: undefined, problems };
}

/** Runs something; what it throws for the user comes back as its result. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | XformError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof XformError) return error;
    throw error;
  }
}

/** The one output that scores classes, and of how many. */
function scoresOf(model: Model): { name: string; scores: number } | undefined {
  inferTypes(model);
  const [output, ...others] = model.graph.outputs.filter(isScores);
  const scores = output?.shape?.[1];
  if (!output || others.length > 0 || typeof scores !== 'number') return undefined;
  return { name: output.name, scores };
}

/** The number of classes that a model tells apart; undefined where it is no classifier. */
export function classCount(model: Model): number | undefined {
  const scores = scoresOf(model)?.scores ?? 1;
  return scores > 1 ? scores : undefined;
}

/** Labels that no output of the model can say. */
export function targetProblems(model: Model, { classes, targets }: Survey): XformError[] {
  const output = scoresOf(model);
  const target = targets.find(({ name }) => /^(labels?|y|targets?)$/.test(name));
  // Test data holds whole outputs, under their names.
  const isOutput = model.graph.outputs.some(({ name }) => name === target?.name);
  if (!output || !target || isOutput) return [];
  const { scores } = output;
  const isOne = target.shape.every((size) => size === 1);
  if (!isOne) {
    const [width, ...more] = target.shape;
    const isSame = more.length === 0 && width === scores;
    return isSame ? [] : [targetShapeDiffers(target.name, target.shape, output.name, scores)];
  }
  // -1 and -100 say that a sample has no label.
  const labels = classes
    .map(({ label }) => label)
    .filter((label) => label !== -1 && label !== -100);
  const beyond = labels.filter((label) => label < 0 || label >= Math.max(2, scores));
  return beyond.length > 0 && scores > 1 ? [labelsBeyondOutput(beyond, output.name, scores)] : [];
}

/** [N, C], with or without axes of size 1 behind. */
function isScores({ dtype, shape }: Value): boolean {
  const rest = shape?.slice(1) ?? [];
  return (
    dtype !== undefined && isFloat(dtype) && rest.length > 0 && rest.slice(1).every((d) => d === 1)
  );
}
