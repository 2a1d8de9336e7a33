// The improvements of quantisation, in the order in which they are applied.

import { unknownName } from '../../../errors/usage.ts';
import type { Graph, Model, Node } from '../../../graph/index.ts';
import { inferTypes } from '../../../ops/index.ts';
import adaround from './adaround.ts';
import biasCorrection from './bias-correction.ts';
import crossLayerEqualization from './cross-layer-equalization.ts';
import type { ImproveContext, Improvement, ImproveOptions } from './improvement.ts';
import { outputError } from './output-error.ts';
import smoothQuant from './smooth-quant.ts';

export type { ImproveContext, Improvement, ImproveOptions } from './improvement.ts';

/** Order matters: those of the float model first, and biases last, when the weights are settled. */
export const IMPROVEMENTS: readonly Improvement[] = [
  crossLayerEqualization,
  smoothQuant,
  adaround,
  biasCorrection,
];

/** Batches on which an improvement has to show what it is good for. */
const TRIAL_BATCHES = 64;

/** Those of these names, in the order of the table. */
export function improvementsNamed(names: readonly string[]): Improvement[] {
  const known = IMPROVEMENTS.map(({ name }) => name);
  for (const name of names) {
    if (!known.includes(name)) throw unknownName('improvement', name, known);
  }
  return IMPROVEMENTS.filter(({ name }) => names.includes(name));
}

/** Quantises a float model as it will be quantised, into another one. */
export type Trial = (float: Model) => Promise<Model>;

/**
 * Applies the improvements of the float model, in place; the names of those that changed it. With a
 * trial and calibration data, one that brings the quantised outputs no closer is taken back.
 */
export async function improveFloat(
  model: Model,
  chosen: readonly Improvement[],
  options: ImproveOptions,
  context: ImproveContext,
  trial?: Trial,
): Promise<string[]> {
  const errorOf = errors(model.clone(), context, trial);
  const changed: string[] = [];
  for (const improvement of chosen) {
    if (improvement.stage !== 'float' || !hasData(improvement, context)) continue;
    const candidate = model.clone();
    inferTypes(candidate);
    const notes: [Node, string][] = [];
    const noting = {
      ...context,
      note: (node: Node, text: string) => void notes.push([node, text]),
    };
    const isChanged = await improvement.run(candidate, options, noting);
    const verdict = isChanged ? await judge(model, candidate, errorOf) : undefined;
    const ending = verdict ? `; taken back, as ${verdict}` : '';
    for (const [node, text] of notes) context.note(node, `${text}${ending}`);
    if (!isChanged || verdict) continue;
    inferTypes(candidate);
    Object.assign(model, { graph: candidate.graph, opsets: candidate.opsets });
    changed.push(improvement.name);
  }
  return changed;
}

type ErrorOf = (model: Model) => Promise<number | undefined>;

/** Why the candidate is not kept. */
async function judge(
  model: Model,
  candidate: Model,
  errorOf: ErrorOf | undefined,
): Promise<string | undefined> {
  const [before, after] = [await errorOf?.(model), await errorOf?.(candidate)];
  if (before === undefined || after === undefined || after < before) return undefined;
  const percent = (e: number) => `${(100 * e).toPrecision(3)} %`;
  return `the error of the quantised outputs goes from ${percent(before)} to ${percent(after)}`;
}

/** The error of the outputs once a model is quantised; each graph is tried once. */
function errors(
  reference: Model,
  { calibration }: ImproveContext,
  trial: Trial | undefined,
): ErrorOf | undefined {
  if (!trial || !calibration) return undefined;
  const known = new Map<Graph, Promise<number | undefined>>();
  return (model) => {
    const error = async () =>
      outputError(await trial(model), reference, calibration, TRIAL_BATCHES);
    const found = known.get(model.graph) ?? error();
    known.set(model.graph, found);
    return found;
  };
}

/** Applies the improvements of the quantised model, in place; the names of those that changed it. */
export async function improveQuantized(
  quantized: Model,
  float: Model,
  chosen: readonly Improvement[],
  options: ImproveOptions,
  context: ImproveContext,
): Promise<string[]> {
  const changed: string[] = [];
  for (const improvement of chosen) {
    if (improvement.stage !== 'quantized' || !hasData(improvement, context)) continue;
    if (await improvement.run(quantized, float, options, context)) changed.push(improvement.name);
  }
  return changed;
}

/** What needs calibration data is left out without it: the caller tells the user so. */
function hasData({ needsData }: Improvement, context: ImproveContext): boolean {
  return !needsData || context.calibration !== undefined;
}
