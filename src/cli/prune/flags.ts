// The flags of `prune`, and what they ask for.

import { Flags } from '@oclif/core';
import { badAmount } from '../../errors/prune.ts';
import { badFlagValue, unknownName, usageProblem } from '../../errors/usage.ts';
import type { Amount } from '../../passes/prune/channels.ts';
import {
  CRITERIA,
  type CriterionName,
  type Normalization,
  type Reduction,
} from '../../passes/prune/importance.ts';
import type { Score } from '../../passes/prune/sparse/index.ts';
import { TARGETS, type TargetName, targetOf } from '../../passes/prune/targets.ts';
import { parsePattern } from '../../passes/select.ts';
import { judgeFlags } from '../judge.ts';
import { parseDrop } from '../limits.ts';

const what = { helpGroup: 'WHAT GOES' } as const;
const limits = { helpGroup: 'LIMITS' } as const;

export const STRUCTURED = ['channel', 'head', 'neuron', 'hidden'] as const;
export const UNSTRUCTURED = ['magnitude', 'nm', 'gradient', 'wanda', 'sparsegpt'] as const;
export const METHODS = [...STRUCTURED, 'spatial', 'low-rank', 'layer', ...UNSTRUCTURED] as const;
export type MethodName = (typeof METHODS)[number];
export type StructuredName = (typeof STRUCTURED)[number];

/** Those that look at data, beside those of `passes/prune`. */
export const DATA_CRITERIA = ['activation', 'taylor', 'fisher'] as const;
export type DataCriterion = (typeof DATA_CRITERIA)[number];

const patterns = { helpValue: 'PATTERN', multiple: true, multipleNonGreedy: true, default: [] };

export const pruneFlags = {
  method: Flags.string({
    summary: `what to remove: ${METHODS.join(', ')}; channel,head,neuron,hidden can be joined`,
    default: 'channel',
    helpValue: 'METHOD',
    ...what,
  }),
  amount: Flags.string({
    summary: 'share that goes, from 0 up to but not with 1 (default: 0.5)',
    helpValue: 'A',
    ...what,
  }),
  amounts: Flags.string({
    summary: "amounts by layer, as in 'layer1*=0.3,fc=0'; the first that fits counts",
    helpValue: 'PATTERN=A',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    ...what,
  }),
  target: Flags.string({
    summary: 'share to be left of params, flops, bytes or latency, as in latency=0.5',
    helpValue: 'WHAT=F',
    exclusive: ['amount'],
    ...what,
  }),
  scope: Flags.option({ options: ['layer', 'global'] as const })({
    summary: 'the same share of each layer, or one ranking of all (default: layer)',
    ...what,
  }),
  'round-to': Flags.integer({
    summary: 'channels left are a multiple of N',
    default: 1,
    min: 1,
    helpValue: 'N',
    ...what,
  }),
  criterion: Flags.option({ options: [...CRITERIA, ...DATA_CRITERIA] })({
    summary: 'how important a unit is; activation, taylor and fisher need --data (default: l2)',
    ...what,
  }),
  reduction: Flags.option({ options: ['mean', 'sum', 'max'] as const })({
    summary: 'how the scores of the weights of a group are joined',
    default: 'mean',
    ...what,
  }),
  normalization: Flags.option({ options: ['none', 'mean', 'max', 'lamp'] as const })({
    summary: 'what makes scores of groups comparable (default: mean)',
    ...what,
  }),
  'min-channels': Flags.integer({
    summary:
      'units left of each group, at least; where it is not given, an amount that leaves none is refused',
    min: 1,
    helpValue: 'N',
    ...what,
  }),
  pattern: Flags.string({
    summary: 'method nm: weights kept of a block, as in 2:4, 4:8 or 1:4',
    default: '2:4',
    helpValue: 'N:M',
    ...what,
  }),
  score: Flags.option({ options: ['magnitude', 'wanda', 'sparsegpt', 'gradient'] as const })({
    summary: 'method nm: what is least of a block; all but magnitude need --data',
    ...what,
  }),
  skip: Flags.string({
    summary: 'layers that stay whole: a name (of node or weight) with *, op:Conv, or re:EXPRESSION',
    ...patterns,
    multiple: true,
    ...what,
  }),
  only: Flags.string({ summary: 'the only layers to prune', ...patterns, multiple: true, ...what }),
  steps: Flags.integer({
    summary: 'go there in N steps, scoring anew before each',
    default: 1,
    min: 1,
    helpValue: 'N',
    ...what,
  }),
  samples: Flags.integer({
    summary: 'samples to score on and to repair with, at most',
    default: 128,
    min: 1,
    helpValue: 'N',
    ...what,
  }),
  repair: Flags.boolean({
    summary: 'mend what is left without training (default with --data)',
    allowNo: true,
    ...what,
  }),
  'train-epochs': Flags.string({
    summary: 'train what each step leaves on --data, with the original as its teacher',
    helpValue: 'N',
    ...what,
  }),
  lr: Flags.string({
    summary: 'learning rate of --train-epochs, or auto (default: 0.001)',
    helpValue: 'RATE',
    dependsOn: ['train-epochs'],
    ...what,
  }),
  sensitivity: Flags.boolean({
    summary: 'try each group alone on data; less goes of those that matter more',
    ...limits,
  }),
  'max-drop': Flags.string({
    summary: 'accuracy (or agreement, without labels) that may be lost; stops in time',
    helpValue: 'D',
    ...limits,
  }),
  'latency-table': Flags.string({
    summary: "target latency: keep the measured table in FILE (default: the user's cache folder)",
    helpValue: 'FILE',
    ...limits,
  }),
  val: Flags.string({
    summary: 'data to judge on (default: that of --data)',
    helpValue: 'PATH',
    ...limits,
  }),
  ...judgeFlags,
};

/** One method, or several of the structured ones. */
export function parseMethods(text: string): MethodName[] {
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!(METHODS as readonly string[]).includes(name)) throw unknownName('method', name, METHODS);
  }
  const alone = names.find((name) => !(STRUCTURED as readonly string[]).includes(name));
  if (names.length > 1 && alone) {
    throw usageProblem(
      `--method "${alone}" cannot be joined with others`,
      `Prune twice, or join some of ${STRUCTURED.join(', ')}.`,
    );
  }
  return names as MethodName[];
}

export function parseShare(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return shareOf('--amount', text);
}

function shareOf(place: string, text: string): number {
  const isPercent = text.endsWith('%');
  const value = Number(isPercent ? text.slice(0, -1) : text) / (isPercent ? 100 : 1);
  if (text.trim() === '' || Number.isNaN(value)) throw badFlagValue('amount', text, EXAMPLE);
  if (value < 0 || value >= 1) throw badAmount(place, value);
  return value;
}

const EXAMPLE = 'a share from 0 up to but not with 1, as in 0.5 or 50%';

/** `layer1*=0.3,fc=0`. */
export function parseAmounts(list: readonly string[]): Amount[] {
  return list
    .flatMap((text) => (text.startsWith('re:') ? [text] : text.split(',')))
    .map((text) => {
      const at = text.lastIndexOf('=');
      if (at <= 0)
        throw badFlagValue('amounts', text, "a pattern and a share, as in 'layer1*=0.3'");
      const name = text.slice(0, at).trim();
      return { pattern: parsePattern(name), amount: shareOf(`"${name}"`, text.slice(at + 1)) };
    });
}

export interface TargetAsked {
  readonly name: TargetName | 'latency';
  readonly left: number;
}

/** `params=0.5`: half of the parameters are left. */
export function parseTarget(text: string | undefined): TargetAsked | undefined {
  if (text === undefined) return undefined;
  const [name = '', share = ''] = text.split('=');
  const known = [...TARGETS, 'latency'] as const;
  const found = known.find((one) => one === name);
  if (!found) throw unknownName('target', name, known);
  const left = share.endsWith('%') ? Number(share.slice(0, -1)) / 100 : Number(share);
  if (share.trim() === '' || !(left > 0 && left <= 1)) {
    throw badFlagValue('target', text, `the share to be left, above 0 up to 1, as in ${name}=0.5`);
  }
  return { name: found, left };
}

interface PruneFlagValues {
  readonly method: string;
  readonly amount?: string | undefined;
  readonly amounts: readonly string[];
  readonly target?: string | undefined;
  readonly scope?: 'layer' | 'global' | undefined;
  readonly 'round-to': number;
  readonly criterion?: CriterionName | DataCriterion | undefined;
  readonly reduction: Reduction;
  readonly normalization?: Normalization | undefined;
  readonly 'min-channels'?: number | undefined;
  readonly pattern: string;
  readonly score?: Score | undefined;
  readonly skip: readonly string[];
  readonly only: readonly string[];
  readonly 'max-drop'?: string | undefined;
  readonly sensitivity?: boolean | undefined;
  readonly seed: number;
}

/** All that is wrong with what was asked for is said before a model is read. */
export function parsePrune(flags: PruneFlagValues) {
  const target = parseTarget(flags.target);
  const { name, left } = target ?? {};
  return {
    methods: parseMethods(flags.method),
    amount: target ? undefined : (parseShare(flags.amount) ?? DEFAULT_AMOUNT),
    amounts: parseAmounts(flags.amounts),
    target: name && name !== 'latency' && left ? targetOf(name, left) : undefined,
    latency: name === 'latency' ? left : undefined,
    maxDrop: parseDrop(flags['max-drop']),
    scope: flags.scope,
    roundTo: flags['round-to'],
    minimum: flags['min-channels'] ?? 1,
    refusesEmpty: flags['min-channels'] === undefined && !isSearched(flags),
    skip: flags.skip.map(parsePattern),
    only: flags.only.map(parsePattern),
    criterion: flags.criterion,
    reduction: flags.reduction,
    normalization: flags.normalization,
    pattern: flags.pattern,
    score: flags.score,
    seed: flags.seed,
  };
}

/** Whether the amount is a result: what a search tries is the search's own affair. */
function isSearched(flags: PruneFlagValues): boolean {
  return (
    flags.target !== undefined || flags['max-drop'] !== undefined || flags.sensitivity === true
  );
}

export type PruneAsked = ReturnType<typeof parsePrune>;

const DEFAULT_AMOUNT = 0.5;
