// Which objective a run has: the one that was named, else the one that data and model fit.

import type { Batch } from '../data/dataset.ts';
import { objectiveUnclear } from '../errors/train.ts';
import type { Model } from '../graph/index.ts';
import { isInteger } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import type { Masking } from '../train/masking.ts';
import type { ObjectiveName } from '../train/objectives/index.ts';
import { tokenInput } from '../train/objectives/language.ts';
import { LABEL_NAMES } from '../train/targets.ts';

export function inferObjective(model: Model, sample: Batch): ObjectiveName {
  if (sample.targets.has('boxes')) return 'detect';
  const name = LABEL_NAMES.find((one) => sample.targets.has(one));
  const target = name === undefined ? undefined : sample.targets.get(name);
  const rank = model.graph.outputs[0]?.shape?.length ?? 0;
  if (target) {
    const isWhole = Array.from(elementsOf(target) as ArrayLike<number | bigint>, Number).every(
      Number.isInteger,
    );
    const isOne = target.size === 1;
    if (isOne && isInteger(target.dtype)) return 'classify';
    return isOne && isWhole && rank === 2 && classes(model) > 1 ? 'classify' : 'regress';
  }
  const { inputs, outputs } = model.graph;
  if (tokenInput({ inputs, outputs }) && rank === 3) return 'clm';
  throw objectiveUnclear([...sample.targets.keys()]);
}

function classes(model: Model): number {
  const last = model.graph.outputs[0]?.shape?.[1];
  return typeof last === 'number' ? last : 1;
}

/** How tokens are hidden for `mlm`: the last token of the vocabulary hides where none is named. */
export function maskingOf(
  model: Model,
  flags: { 'mask-token'?: number | undefined; 'mask-share'?: string | undefined },
): Masking {
  const { inputs, outputs } = model.graph;
  const input = tokenInput({ inputs, outputs });
  const vocabulary = Number(outputs[0]?.shape?.at(-1) ?? 2);
  const mask = flags['mask-token'] ?? vocabulary - 1;
  return {
    input: input?.name ?? '',
    mask,
    vocabulary,
    special: new Set([mask]),
    share: Number(flags['mask-share'] ?? 0.15),
  };
}
