// The flags of `eval`, and what they stand for.

import { Flags } from '@oclif/core';
import { badFlagValue } from '../../errors/usage.ts';
import type { HeadName } from '../../metrics/detection/decode.ts';
import { HEAD_NAMES } from '../../tasks/detect.ts';
import { TASKS } from '../../tasks/index.ts';
import type { TaskOptions } from '../../tasks/task.ts';

const group = { helpGroup: 'TASK' } as const;
const detect = { helpGroup: 'DETECTION' } as const;
const writing = { helpGroup: 'WRITING AND ANSWERING' } as const;

export const evalFlags = {
  task: Flags.option({ options: TASKS.map(({ name }) => name) })({
    summary: 'what the model is judged by (default: recognised by outputs and targets)',
    ...group,
  }),
  output: Flags.string({ summary: 'the output that is judged', helpValue: 'NAME', ...group }),
  metric: Flags.string({
    summary: 'the metric that --max-drop is about (default: the first of the table)',
    helpValue: 'NAME',
    ...group,
  }),
  baseline: Flags.string({
    summary: 'what the others are compared with (default: the first model)',
    helpValue: 'MODEL',
    ...group,
  }),
  'max-drop': Flags.string({
    summary: 'exit with 4 when a model is worse than the baseline by more, as in 0.01 or 1%',
    helpValue: 'F',
    ...group,
  }),
  'top-k': Flags.integer({
    summary: 'k of top-k accuracy, recall, hit rate',
    default: 5,
    min: 1,
    helpValue: 'K',
    ...group,
  }),
  season: Flags.integer({
    summary: 'forecasts: steps of one season, for MASE',
    default: 1,
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  resamples: Flags.integer({
    summary: 'resamples of the bootstrap; 0: no intervals',
    default: 1000,
    min: 0,
    helpValue: 'N',
    ...group,
  }),
  bench: Flags.boolean({
    summary: 'measure latency and memory, too',
    default: true,
    allowNo: true,
    ...group,
  }),
  decode: Flags.option({ options: HEAD_NAMES })({
    summary: 'how outputs become boxes (default: recognised)',
    ...detect,
  }),
  'min-score': Flags.string({
    summary: 'leave out boxes below this score',
    default: '0.01',
    helpValue: 'F',
    ...detect,
  }),
  nms: Flags.string({
    summary: 'boxes of a class that overlap more are one',
    default: '0.45',
    helpValue: 'IOU',
    ...detect,
  }),
  encoder: Flags.string({
    summary: 'the file that reads, where the model is only the decoder',
    helpValue: 'FILE',
    ...writing,
  }),
  beams: Flags.integer({
    summary: 'beams of the search; 1 is greedy',
    default: 1,
    min: 1,
    helpValue: 'N',
    ...writing,
  }),
  'max-tokens': Flags.integer({
    summary: 'tokens of a text, at most (default: as many as the source can have)',
    min: 1,
    helpValue: 'N',
    ...writing,
  }),
  'start-token': Flags.integer({
    summary: 'the token that texts begin with (default: <s> or the like, else padding)',
    min: 0,
    helpValue: 'ID',
    ...writing,
  }),
  predictions: Flags.string({
    summary: 'keep what the model wrote or answered, a line per sample',
    helpValue: 'FILE',
    ...writing,
  }),
};

export interface EvalFlagValues {
  readonly output?: string | undefined;
  readonly 'top-k': number;
  readonly season: number;
  readonly decode?: HeadName | undefined;
  readonly 'min-score': string;
  readonly nms: string;
  readonly beams: number;
  readonly 'max-tokens'?: number | undefined;
  readonly 'start-token'?: number | undefined;
}

export function taskOptionsFrom(flags: EvalFlagValues): TaskOptions {
  return {
    output: flags.output,
    topK: flags['top-k'],
    season: flags.season,
    decode: flags.decode,
    minScore: parseShare('min-score', flags['min-score']),
    nms: parseShare('nms', flags.nms),
    beams: flags.beams,
    maxTokens: flags['max-tokens'],
    startToken: flags['start-token'],
  };
}

function parseShare(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw badFlagValue(flag, text, 'a number from 0 to 1');
}
