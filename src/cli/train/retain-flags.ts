// The flags against forgetting, and what they ask for.

import { Flags } from '@oclif/core';
import type { Dataset } from '../../data/dataset.ts';
import { badFlagValue } from '../../errors/usage.ts';
import type { Model } from '../../graph/index.ts';
import type { ObjectiveName } from '../../train/objectives/index.ts';
import { parseAmount } from '../data/flags.ts';
import type { ReplayRequest, Retention } from './request.ts';

const group = { helpGroup: 'AGAINST FORGETTING' } as const;

export const retainFlags = {
  replay: Flags.string({
    summary: 'older data, of which every batch holds some samples',
    helpValue: 'PATH',
    ...group,
  }),
  'replay-share': Flags.string({
    summary: 'share of such samples in a batch (default 0.2)',
    helpValue: 'F',
    dependsOn: ['replay'],
    ...group,
  }),
  'replay-limit': Flags.integer({
    summary: 'keep N of these samples, as many of each class (default: all)',
    min: 1,
    helpValue: 'N',
    dependsOn: ['replay'],
    ...group,
  }),
  ewc: Flags.string({
    summary: 'older data: weights that matter to it stay near where they are (EWC)',
    helpValue: 'PATH',
    exclusive: ['lora'],
    ...group,
  }),
  'ewc-weight': Flags.string({
    summary: 'how much that counts (default 1000)',
    helpValue: 'F',
    dependsOn: ['ewc'],
    ...group,
  }),
  lwf: Flags.boolean({
    summary: 'what the model says of its old classes stays as it is (learning without forgetting)',
    exclusive: ['head'],
    ...group,
  }),
  'lwf-weight': Flags.string({
    summary: 'how much that counts (default 1)',
    helpValue: 'F',
    dependsOn: ['lwf'],
    ...group,
  }),
};

interface RetainFlagValues {
  readonly replay?: string | undefined;
  readonly 'replay-share'?: string | undefined;
  readonly 'replay-limit'?: number | undefined;
  readonly ewc?: string | undefined;
  readonly 'ewc-weight'?: string | undefined;
  readonly lwf?: boolean | undefined;
  readonly 'lwf-weight'?: string | undefined;
  readonly 'expand-classes'?: number | undefined;
  readonly head?: string | undefined;
}

type Open = (path: string) => Promise<Dataset>;

export async function replayRequest(
  flags: RetainFlagValues,
  open: Open,
): Promise<ReplayRequest | undefined> {
  if (flags.replay === undefined) return undefined;
  const text = flags['replay-share'] ?? '0.2';
  const share = parseAmount('replay-share', text);
  if (share >= 1) throw badFlagValue('replay-share', text, 'a share below 1');
  return { data: await open(flags.replay), share, limit: flags['replay-limit'] };
}

/** Outputs of these objectives are distributions. */
const DISTRIBUTIONS = new Set<ObjectiveName | undefined>(['classify', 'clm', 'mlm']);

/** `before`: the model with the classes it had. */
export async function retention(
  flags: RetainFlagValues,
  before: Model,
  objective: ObjectiveName | undefined,
  open: Open,
): Promise<Retention | undefined> {
  const { ewc, lwf } = flags;
  if (ewc === undefined && !lwf) return undefined;
  const amount = (flag: 'ewc-weight' | 'lwf-weight', otherwise: string) =>
    parseAmount(flag, flags[flag] ?? otherwise);
  const isExpanded = flags['expand-classes'] !== undefined && objective === 'classify';
  const isSoft = DISTRIBUTIONS.has(objective) && before.graph.outputs[0]?.shape?.[1] !== 1;
  return {
    before,
    hasNewHead: flags.head !== undefined,
    ...(ewc === undefined
      ? {}
      : { ewc: { data: await open(ewc), weight: amount('ewc-weight', '1000') } }),
    ...(lwf
      ? {
          lwf: {
            weight: amount('lwf-weight', '1'),
            soft: isSoft ? 'kl' : 'mse',
            isAmongNew: isExpanded && flags.replay === undefined,
          },
        }
      : {}),
  };
}
