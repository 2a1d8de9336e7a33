// Which objective a run has: the one that was named, else the one that data and model fit.

import type { Batch, Dataset } from '../../data/dataset.ts';
import { objectiveUnclear } from '../../errors/train.ts';
import type { Model } from '../../graph/index.ts';
import { isInteger } from '../../tensor/dtype.ts';
import { elementsOf } from '../../tensor/elements.ts';
import type { Masking } from '../../train/masking.ts';
import type { ObjectiveName } from '../../train/objectives/index.ts';
import { decoderInput, tokenInput } from '../../train/objectives/language.ts';
import { targetName } from '../../train/targets.ts';
import { parseShare } from './settings.ts';

export function inferObjective(model: Model, sample: Batch): ObjectiveName {
  if (sample.targets.has('boxes')) return 'detect';
  const { inputs, outputs } = model.graph;
  if (decoderInput({ inputs, outputs })) return 'clm';
  const target = sample.targets.get(targetName(sample.targets) ?? '');
  const rank = model.graph.outputs[0]?.shape?.length ?? 0;
  if (target) {
    const isWhole = Array.from(elementsOf(target) as ArrayLike<number | bigint>, Number).every(
      Number.isInteger,
    );
    const isOne = target.size === 1;
    if (isOne && isInteger(target.dtype)) return 'classify';
    return isOne && isWhole && rank === 2 && classes(model) > 1 ? 'classify' : 'regress';
  }
  if (tokenInput({ inputs, outputs }) && rank === 3) return 'clm';
  throw objectiveUnclear([...sample.targets.keys()]);
}

function classes(model: Model): number {
  const last = model.graph.outputs[0]?.shape?.[1];
  return typeof last === 'number' ? last : 1;
}

/**
 * How tokens are hidden for `mlm`: behind the tokenizer's own token for it; behind the last of the
 * vocabulary where none is known.
 */
export function maskingOf(
  model: Model,
  flags: { 'mask-token'?: number | undefined; 'mask-share'?: string | undefined },
  tokens: Dataset['specialTokens'],
): Masking {
  const { inputs, outputs } = model.graph;
  const input = tokenInput({ inputs, outputs });
  const vocabulary = Number(outputs[0]?.shape?.at(-1) ?? 2);
  const mask = flags['mask-token'] ?? tokens?.mask ?? vocabulary - 1;
  return {
    input: input?.name ?? '',
    mask,
    vocabulary,
    special: new Set([mask, ...(tokens?.all ?? [])]),
    share: parseShare('mask-share', flags['mask-share']) ?? 0.15,
  };
}
