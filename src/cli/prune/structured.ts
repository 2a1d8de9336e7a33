// Structured methods as a pruner: which kinds of groups each method is about, how scores are made,
// and what became of the groups.

import type { Model } from '../../graph/index.ts';
import type { Runner } from '../../passes/pass.ts';
import {
  type Amount,
  NOT_TAKEN,
  type Outcome,
  pruneChannels,
} from '../../passes/prune/channels.ts';
import { channelsPerUnit, type Scope } from '../../passes/prune/choose.ts';
import type { Group, Kind } from '../../passes/prune/group.ts';
import type {
  Criterion,
  CriterionName,
  Normalization,
  Reduction,
} from '../../passes/prune/importance.ts';
import type { Pattern } from '../../passes/select.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { StructuredName } from './flags.ts';
import { type PartOutcome, type Pruned, type Pruner, stepAmount, stepTarget } from './plan.ts';

/** What each method removes; `channel` takes the widths of fully connected layers, too. */
const KINDS: Readonly<Record<StructuredName, readonly Kind[]>> = {
  channel: ['channel', 'neuron'],
  head: ['head'],
  neuron: ['neuron'],
  hidden: ['hidden'],
};

export interface StructuredOptions {
  readonly methods: readonly StructuredName[];
  readonly amounts: readonly Amount[];
  readonly scope: Scope;
  readonly roundTo: number;
  readonly minimum: number;
  readonly refusesEmpty: boolean;
  readonly skip: readonly Pattern[];
  readonly only: readonly Pattern[];
  /** By name, or made for a model: from data, where groups are those of the model. */
  readonly criterion: CriterionName | ((model: Model) => Promise<Criterion>);
  readonly reduction: Reduction;
  readonly normalization: Normalization | undefined;
  readonly seed: number;
}

export function structuredPruner(
  options: StructuredOptions,
  run: Runner,
  reporter: Reporter,
): Pruner {
  const kinds = new Set(options.methods.flatMap((method) => KINDS[method]));
  const scores = new WeakMap<Model, Criterion>();
  /** Searches ask again and again for the same model: it is scored once. */
  const criterionFor = async (model: Model): Promise<CriterionName | Criterion> => {
    const { criterion } = options;
    if (typeof criterion === 'string') return criterion;
    const known = scores.get(model) ?? (await criterion(model));
    scores.set(model, known);
    return known;
  };
  return async (model, ask) => {
    const result = await pruneChannels(
      model,
      {
        ...options,
        only: options.only.length > 0 ? options.only : undefined,
        criterion: await criterionFor(model),
        amount: ask.amount === undefined ? undefined : stepAmount(ask.amount, ask),
        amounts: options.amounts.map(({ pattern, amount }) => ({
          pattern,
          amount: stepAmount(amount, ask),
        })),
        target: ask.target && stepTarget(ask.target, ask),
        amountOf: ask.amountOf,
        takes: (group) => kinds.has(group.kind) && (ask.takes?.(group) ?? true),
      },
      {
        run,
        progress: (amount, left) =>
          reporter.detail(`amount ${amount.toFixed(4)} leaves ${left.toFixed(4)}`),
      },
    );
    return prunedOf(result);
  };
}

function prunedOf(result: Awaited<ReturnType<typeof pruneChannels>>): Pruned {
  const { model, outcomes, frozen, amount, choices } = result;
  const tookPart = ({ before, after, reason }: Outcome) => after < before || reason === NOT_TAKEN;
  return {
    model,
    parts: outcomes.map(partOf),
    frozen,
    amount,
    choices,
    groups: outcomes.filter(tookPart).map(({ group }) => group),
  };
}

function partOf({ group, before, after, reason }: Outcome): PartOutcome {
  const unit = unitName(group);
  return { part: group.name, kind: unit, before, after, reason };
}

function unitName(group: Group): string {
  const channels = channelsPerUnit(group);
  return channels > 1 ? `${group.kind} of ${channels}` : group.kind;
}
