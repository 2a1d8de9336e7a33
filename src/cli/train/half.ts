// `--keep-half`: the trained model in the half precision that it was trained with.

import { usageProblem } from '../../errors/usage.ts';
import type { Model } from '../../graph/index.ts';
import { quantizeHalf } from '../../passes/quantize/half.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { exactRunner } from '../../runtime/runner.ts';
import { resolveTarget } from '../../targets/target.ts';
import { machineFacts } from '../machine.ts';
import type { Decision } from '../quantize/quantizer.ts';

export type HalfPrecision = 'fp16' | 'bf16';

export interface InHalf {
  readonly model: Model;
  readonly decisions: readonly Decision[];
}

/** A copy as `quantize --mode fp16` makes it: inputs and outputs stay float32. */
export async function inHalf(
  trained: Model,
  type: HalfPrecision,
  { session, seed }: { readonly session: SessionOptions; readonly seed: number },
): Promise<InHalf> {
  const model = trained.clone();
  const decisions: Decision[] = [];
  await quantizeHalf(
    model,
    { type, keepIo: true },
    {
      run: exactRunner(session),
      target: resolveTarget('auto', machineFacts(session.provider)),
      seed,
      wanted: () => undefined,
      decide: (node, precision, reason) =>
        void decisions.push({ layer: node.name, op: node.op, precision, reason }),
    },
  );
  return { model, decisions };
}

/** What is to be written, where it is not to be float32. */
export function keptHalf(flags: {
  readonly 'keep-half'?: boolean | undefined;
  readonly precision: 'fp32' | HalfPrecision;
}): HalfPrecision | undefined {
  if (!flags['keep-half']) return undefined;
  if (flags.precision !== 'fp32') return flags.precision;
  throw usageProblem(
    '--keep-half writes the model in the precision of --precision, which is fp32',
    'Give --precision fp16 or bf16, or leave --keep-half out.',
  );
}
