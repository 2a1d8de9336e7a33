// What a model of texts takes: which input holds the tokens, what the others are, how long it all is.

import { seqDiffers, sequenceOpen, textInputMissing } from '../errors/data.ts';
import { symbol } from '../graph/index.ts';
import { isInteger } from '../tensor/dtype.ts';
import type { InputSpec } from './dataset.ts';
import type { BoundedInput } from './inputs.ts';

/** Tokens, 1 where there is one, 1 for those of the second text, 0 1 2 … */
export type TextRole = 'ids' | 'mask' | 'types' | 'positions';

export interface TextInput {
  readonly input: BoundedInput;
  readonly role: TextRole;
  readonly side: 'source' | 'target';
}

/**
 * The inputs of a model of texts by what they are, told by their names. Without a model, tokens are all
 * there is.
 */
export function textInputs(
  inputs: readonly BoundedInput[] | undefined,
  hasTarget = false,
): TextInput[] {
  if (!inputs) {
    return hasTarget ? [ownTokens('source'), ownTokens('target')] : [ownTokens('source')];
  }
  const found = inputs
    .filter(({ shape }) => shape.length === 2)
    .map((input) => ({ input, role: roleOf(input), side: sideOf(input) }));
  if (!found.some(({ role }) => role === 'ids')) throw textInputMissing(inputs.map((i) => i.name));
  return found;
}

function ownTokens(side: TextInput['side']): TextInput {
  const name = side === 'source' ? 'input_ids' : 'decoder_input_ids';
  const shape = [symbol('batch'), symbol('sequence')];
  return { input: { name, dtype: 'int64', shape }, role: 'ids', side };
}

function roleOf({ name, dtype }: InputSpec): TextRole {
  if (/mask/i.test(name) || !(isInteger(dtype) || /ids|tokens/i.test(name))) return 'mask';
  if (/type|segment/i.test(name)) return 'types';
  return /position/i.test(name) ? 'positions' : 'ids';
}

function sideOf({ name }: InputSpec): TextInput['side'] {
  return /decoder|tgt|target/i.test(name) ? 'target' : 'source';
}

/** Tokens of a sample: what the model fixes, else --seq. */
export function sequenceLength(
  inputs: readonly TextInput[],
  side: TextInput['side'],
  asked: number | undefined,
): number {
  const own = inputs.filter((one) => one.side === side);
  const fixed = own.map(({ input }) => input.shape[1]).find((dim) => typeof dim === 'number');
  const length = typeof fixed === 'number' ? fixed : asked;
  if (asked !== undefined && asked !== length) throw seqDiffers(asked, length ?? 0);
  if (length === undefined) throw sequenceOpen(own[0]?.input.name ?? '');
  return length;
}
