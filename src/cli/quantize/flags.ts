// The flags of `quantize`, and the settings they stand for.

import { Flags } from '@oclif/core';
import { badFlagValue, usageProblem } from '../../errors/usage.ts';
import {
  ACTIVATIONS,
  ALGORITHMS,
  FORMATS,
  INTEGERS,
  MODES,
  type Mode,
  type Settings,
} from '../../passes/quantize/settings.ts';
import { TARGETS } from '../../targets/target.ts';
import { judgeFlags } from '../judge.ts';

const scheme = { helpGroup: 'SCHEME' } as const;
const limits = { helpGroup: 'LIMITS' } as const;

export const quantizeFlags = {
  mode: Flags.option({ options: MODES })({
    summary: 'what to make (default: static with --data, else dynamic)',
    ...scheme,
  }),
  bits: Flags.option({ options: ['16', '8', '4', '2'] as const })({
    summary: 'bits of weights in mode weights (default 4), of activations in mode static (8)',
    ...scheme,
  }),
  activations: Flags.option({ options: ACTIVATIONS })({
    summary: 'type of activations in mode static (default: uint8)',
    ...scheme,
  }),
  weights: Flags.option({ options: INTEGERS, aliases: ['weight-type'] })({
    summary: 'type of weights in modes static and dynamic (default: int8)',
    ...scheme,
  }),
  'per-channel': Flags.boolean({
    summary: 'a scale per output channel (default) or one per tensor',
    allowNo: true,
    default: true,
    ...scheme,
  }),
  symmetric: Flags.boolean({
    summary: 'zero points in the middle: of activations in static, of weights in weights',
    allowNo: true,
    ...scheme,
  }),
  'reduce-range': Flags.boolean({
    summary: 'weights of 7 bits (default: where products of the target saturate)',
    allowNo: true,
    ...scheme,
  }),
  format: Flags.option({ options: FORMATS })({
    summary: 'qdq: Q/DQ pairs; qoperator: QLinear…; nbits: MatMulNBits',
    default: 'auto',
    ...scheme,
  }),
  block: Flags.string({
    summary: 'weights that share a scale in mode weights: 16 … 256, or channel',
    helpValue: 'N',
    default: '32',
    aliases: ['block-size'],
    ...scheme,
  }),
  algorithm: Flags.option({ options: ALGORITHMS })({
    summary: 'how weights are rounded in mode weights; gptq and awq need --data',
    default: 'rtn',
    ...scheme,
  }),
  'keep-io': Flags.boolean({
    summary: 'inputs and outputs stay float32 in half precision',
    allowNo: true,
    default: true,
    ...scheme,
  }),
  smooth: Flags.boolean({ summary: 'the same as --improve smooth-quant', ...scheme }),
  improve: Flags.string({
    summary: 'improvements to apply; --list-improvements shows them',
    helpValue: 'A,B',
    multiple: true,
    multipleNonGreedy: true,
    ...scheme,
  }),
  'list-improvements': Flags.boolean({ summary: 'show the improvements, and end', ...scheme }),
  skip: Flags.string({
    summary: 'layers that stay float: a name (of node or weight) with *, op:Conv, or re:EXPRESSION',
    helpValue: 'PATTERN',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    aliases: ['nodes-to-exclude'],
    ...scheme,
  }),
  only: Flags.string({
    summary: 'the only layers to quantise',
    helpValue: 'PATTERN',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    ...scheme,
  }),
  target: Flags.option({ options: ['auto', ...TARGETS] as const })({
    summary: 'where the model will run; auto is this machine',
    default: 'auto',
    ...scheme,
  }),
  'max-drop': Flags.string({
    summary: 'accuracy (or agreement, without labels) that may be lost; worst layers are left out',
    helpValue: 'D',
    ...limits,
  }),
  'max-size': Flags.string({
    summary: 'mode mixed: size to reach, as a fraction of the original or as in 12MB',
    helpValue: 'SIZE',
    ...limits,
  }),
  'max-latency': Flags.string({
    summary: 'mode mixed: time of a run to reach, as a fraction of the original or as in 5ms',
    helpValue: 'TIME',
    ...limits,
  }),
  val: Flags.string({
    summary: 'data to judge on (default: that of --data)',
    helpValue: 'PATH',
    ...limits,
  }),
  sensitivity: Flags.boolean({ summary: 'show what each layer costs by itself', ...limits }),
  'keep-faster': Flags.boolean({
    summary: 'leave float what came out slower (default in static and dynamic, on this machine)',
    allowNo: true,
    ...limits,
  }),
  ...judgeFlags,
  optimize: Flags.boolean({
    summary: 'fold and fuse first, as "xform optimize" does',
    allowNo: true,
    default: true,
    ...limits,
  }),
  recipe: Flags.string({ summary: 'replay a recipe', helpValue: 'FILE', ...limits }),
  'save-recipe': Flags.string({
    summary: 'write the settings and the choice of layers',
    helpValue: 'FILE',
    ...limits,
  }),
};

export interface QuantizeFlagValues {
  readonly mode?: Mode | undefined;
  readonly bits?: '16' | '8' | '4' | '2' | undefined;
  readonly activations?: Settings['activations'] | undefined;
  readonly weights?: Settings['weights'] | undefined;
  readonly 'per-channel': boolean;
  readonly symmetric?: boolean | undefined;
  readonly 'reduce-range'?: boolean | undefined;
  readonly format: Settings['format'];
  readonly block: string;
  readonly algorithm: Settings['algorithm'];
  readonly 'keep-io': boolean;
  readonly smooth?: boolean | undefined;
  readonly improve?: readonly string[] | undefined;
  readonly data?: string | undefined;
}

const DEFAULT_BITS = { weights: 4 } as Readonly<Partial<Record<Mode, 4>>>;
const BLOCKS = [16, 32, 64, 128, 256];

export function settingsFrom(flags: QuantizeFlagValues): Settings {
  const mode = flags.mode ?? (flags.data ? 'static' : 'dynamic');
  const bits = flags.bits ? (Number(flags.bits) as Settings['bits']) : (DEFAULT_BITS[mode] ?? 8);
  checkBits(mode, bits);
  checkFormat(flags.format, flags.activations ?? '', bits);
  const improvements = (flags.improve ?? []).flatMap((list) => list.split(',')).filter(Boolean);
  if (flags.smooth) improvements.push('smooth-quant');
  return {
    mode,
    bits,
    activations: flags.activations ?? (mode === 'static' && bits === 16 ? 'uint16' : 'uint8'),
    weights: flags.weights ?? 'int8',
    perChannel: flags['per-channel'],
    symmetric: flags.symmetric,
    reduceRange: flags['reduce-range'],
    format: flags.format,
    block: parseBlock(flags.block),
    algorithm: flags.algorithm,
    keepIo: flags['keep-io'],
    improvements: [...new Set(improvements)],
  };
}

function checkBits(mode: Mode, bits: number): void {
  const possible = { weights: [8, 4, 2], static: [8, 16], dynamic: [8] }[mode as string];
  if (!possible || possible.includes(bits)) return;
  throw usageProblem(
    `mode ${mode} has no ${bits} bits`,
    `Give --bits ${possible.join(' or ')}, or another --mode.`,
  );
}

function checkFormat(format: Settings['format'], activations: string, bits: number): void {
  const isWide = bits === 16 || activations.endsWith('16');
  if (format !== 'qoperator' || !isWide) return;
  throw usageProblem(
    'format qoperator has no 16-bit activations',
    'Give --format qdq, or --activations uint8.',
  );
}

function parseBlock(text: string): Settings['block'] {
  if (text === 'channel') return 'channel';
  if (BLOCKS.includes(Number(text))) return Number(text);
  throw badFlagValue('block', text, `${BLOCKS.join(', ')} or channel`);
}
