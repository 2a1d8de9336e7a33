// The flags of `shrink`, and what they ask for.

import { Flags } from '@oclif/core';
import { badFlagValue, usageProblem } from '../../errors/usage.ts';
import { CRITERIA, type CriterionName } from '../../passes/prune/importance.ts';
import { parsePattern } from '../../passes/select.ts';
import {
  DATA_CRITERIA,
  type DataCriterion,
  type MethodName,
  parseMethods,
  STRUCTURED,
} from '../prune/flags.ts';
import { isStructured } from '../prune/method.ts';
import type { ShrinkAsked } from './model.ts';

const group = { helpGroup: 'WHAT STAYS' } as const;

export const shrinkFlags = {
  depth: Flags.string({
    summary: 'share of the residual layers that stays (default: all)',
    helpValue: 'F',
    ...group,
  }),
  width: Flags.string({
    summary: 'share of channels, heads, neurons and hidden widths that stays (default: all)',
    helpValue: 'F',
    ...group,
  }),
  method: Flags.string({
    summary: `what --width is about: ${STRUCTURED.join(', ')}, joined by commas`,
    default: STRUCTURED.join(','),
    helpValue: 'METHOD',
    ...group,
  }),
  criterion: Flags.option({ options: [...CRITERIA, ...DATA_CRITERIA] })({
    summary: 'how important a unit is (default: taylor with --data, else l2)',
    ...group,
  }),
  'round-to': Flags.integer({
    summary: 'widths left are a multiple of N',
    default: 1,
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  skip: Flags.string({
    summary: 'layers that stay whole: a name (of node or weight) with *, op:Conv, or re:EXPRESSION',
    helpValue: 'PATTERN',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    ...group,
  }),
  samples: Flags.integer({
    summary: 'samples of --data to score on, at most',
    default: 128,
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  bench: Flags.boolean({
    summary: 'time the student beside its teacher',
    allowNo: true,
    default: true,
  }),
};

interface ShrinkFlagValues {
  readonly depth?: string | undefined;
  readonly width?: string | undefined;
  readonly method: string;
  readonly criterion?: CriterionName | DataCriterion | undefined;
  readonly 'round-to': number;
  readonly skip: readonly string[];
  readonly data?: string | undefined;
  readonly seed: number;
}

export function parseShrink(flags: ShrinkFlagValues): ShrinkAsked {
  const [depth, width] = [shareLeft('depth', flags.depth), shareLeft('width', flags.width)];
  if (depth === 1 && width === 1) {
    throw usageProblem(
      'nothing was asked to become smaller',
      'Give the share that stays, as in --depth 0.5, --width 0.5, or both.',
    );
  }
  return {
    depth,
    width,
    methods: parseMethods(flags.method).map(structured),
    criterion: flags.criterion ?? (flags.data === undefined ? 'l2' : 'taylor'),
    roundTo: flags['round-to'],
    skip: flags.skip.map(parsePattern),
    seed: flags.seed,
  };
}

function structured(name: MethodName) {
  if (isStructured(name)) return name;
  throw badFlagValue('method', name, `one or more of ${STRUCTURED.join(', ')}`);
}

function shareLeft(flag: string, text: string | undefined): number {
  if (text === undefined) return 1;
  const isPercent = text.endsWith('%');
  const value = Number(isPercent ? text.slice(0, -1) : text) / (isPercent ? 100 : 1);
  if (text.trim() !== '' && value > 0 && value <= 1) return value;
  throw badFlagValue(flag, text, 'the share that stays, above 0 up to 1, as in 0.5 or 50%');
}
