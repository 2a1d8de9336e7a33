// The improvements of quantisation, in the order in which they are applied.

import { unknownName } from '../../../errors/usage.ts';
import type { Model } from '../../../graph/index.ts';
import { inferTypes } from '../../../ops/index.ts';
import adaround from './adaround.ts';
import biasCorrection from './bias-correction.ts';
import crossLayerEqualization from './cross-layer-equalization.ts';
import type { ImproveContext, Improvement, ImproveOptions } from './improvement.ts';
import smoothQuant from './smooth-quant.ts';

export type { ImproveContext, Improvement, ImproveOptions } from './improvement.ts';

/** Order matters: those of the float model first, and biases last, when the weights are settled. */
export const IMPROVEMENTS: readonly Improvement[] = [
  crossLayerEqualization,
  smoothQuant,
  adaround,
  biasCorrection,
];

/** Those of these names, in the order of the table. */
export function improvementsNamed(names: readonly string[]): Improvement[] {
  const known = IMPROVEMENTS.map(({ name }) => name);
  for (const name of names) {
    if (!known.includes(name)) throw unknownName('improvement', name, known);
  }
  return IMPROVEMENTS.filter(({ name }) => names.includes(name));
}

/** Applies the improvements of the float model, in place; the names of those that changed it. */
export async function improveFloat(
  model: Model,
  chosen: readonly Improvement[],
  options: ImproveOptions,
  context: ImproveContext,
): Promise<string[]> {
  const changed: string[] = [];
  for (const improvement of chosen) {
    if (improvement.stage !== 'float' || !hasData(improvement, context)) continue;
    if (await improvement.run(model, options, context)) changed.push(improvement.name);
  }
  inferTypes(model);
  return changed;
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
