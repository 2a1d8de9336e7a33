// What the flags of training ask for, checked and with defaults.

import { badFlagValue, usageProblem } from '../../errors/usage.ts';
import type { ObjectiveName } from '../../train/objectives/index.ts';
import { OBJECTIVE_DEFAULTS, type ObjectiveSettings } from '../../train/objectives/objective.ts';
import {
  OPTIMIZER_DEFAULTS,
  OPTIMIZERS,
  type Optimizer,
  type OptimizerSettings,
} from '../../train/optimizers.ts';
import type { PenaltySchedule } from '../../train/penalty.ts';
import type { HalfType } from '../../train/precision.ts';
import type { ScheduleName } from '../../train/schedule.ts';
import type { SparsityRule, SparsitySchedule } from '../../train/sparsity.ts';
import { parseAmount } from '../data/flags.ts';

export interface TrainFlagValues {
  readonly objective?: ObjectiveName | undefined;
  readonly loss?: string | undefined;
  readonly 'label-smoothing'?: string | undefined;
  readonly 'class-weights'?: string | undefined;
  readonly distance: 'mse' | 'mae' | 'huber';
  readonly delta?: string | undefined;
  readonly temperature?: string | undefined;
  readonly strides?: string | undefined;
  readonly epochs?: string | undefined;
  readonly steps?: number | undefined;
  readonly optimizer: string;
  readonly lr?: string | undefined;
  readonly schedule: ScheduleName;
  readonly warmup?: string | undefined;
  readonly 'weight-decay'?: string | undefined;
  readonly momentum?: string | undefined;
  readonly nesterov?: boolean | undefined;
  readonly beta1?: string | undefined;
  readonly beta2?: string | undefined;
  readonly epsilon?: string | undefined;
  readonly clip?: string | undefined;
  readonly 'clip-value'?: string | undefined;
  readonly accumulate: number;
  readonly adapt?: 'noise' | undefined;
  readonly ema?: string | undefined;
  readonly precision: 'fp32' | 'fp16' | 'bf16';
  readonly recompute?: boolean | undefined;
  readonly 'grad-bits'?: string | undefined;
  readonly 'prune-schedule'?: SparsityRule | 'structured' | undefined;
  readonly 'prune-final'?: string | undefined;
  readonly 'prune-begin'?: string | undefined;
  readonly 'prune-end'?: string | undefined;
  readonly 'prune-every'?: number | undefined;
}

export interface OptimizationSettings {
  readonly name: string;
  readonly optimizer: Optimizer;
  readonly settings: OptimizerSettings;
  /** `auto`: what a range test from the first weights says. */
  readonly rate: number | 'auto';
  readonly decay: number;
  readonly clipNorm?: number | undefined;
  readonly clipValue?: number | undefined;
  readonly accumulate: number;
  readonly adapts: boolean;
  readonly averaging?: number | undefined;
  readonly schedule: ScheduleName;
  /** Steps, or a share of all below 1. */
  readonly warmup: number;
  readonly precision?: HalfType | undefined;
  readonly recompute?: boolean | undefined;
  readonly gradientBits?: number | undefined;
  /** Of a run of so many updates. */
  sparsity(updates: number): SparsitySchedule | undefined;
  penalty(updates: number): PenaltySchedule | undefined;
}

const DECAY = 0.01;
const EPOCHS = 10;

export function objectiveSettings(flags: TrainFlagValues): ObjectiveSettings {
  const weights = flags['class-weights']?.split(',').map((w) => parseAmount('class-weights', w));
  return {
    labelSmoothing: parseShare('label-smoothing', flags['label-smoothing']) ?? 0,
    classWeights: weights,
    distance: flags.distance,
    delta: amount('delta', flags.delta) ?? OBJECTIVE_DEFAULTS.delta,
    temperature: amount('temperature', flags.temperature) ?? OBJECTIVE_DEFAULTS.temperature,
    output: flags.loss,
    strides: flags.strides?.split(',').map((stride) => wholeStride(stride)),
  };
}

function wholeStride(text: string): number {
  const stride = Number(text);
  if (Number.isInteger(stride) && stride > 0) return stride;
  throw badFlagValue('strides', text, 'whole numbers, as in --strides 8,16,32');
}

export function optimizationSettings(flags: TrainFlagValues): OptimizationSettings {
  const optimizer = OPTIMIZERS[flags.optimizer] as Optimizer;
  if (flags.adapt && flags.accumulate < 2) {
    throw usageProblem(
      `--adapt ${flags.adapt} needs the gradients of several batches`,
      'Give --accumulate 2 or more.',
    );
  }
  const own = { ...OPTIMIZER_DEFAULTS, ...optimizer.defaults };
  return {
    name: flags.optimizer,
    optimizer,
    settings: {
      beta1: parseShare('beta1', flags.beta1) ?? own.beta1,
      beta2: parseShare('beta2', flags.beta2) ?? own.beta2,
      epsilon: amount('epsilon', flags.epsilon) ?? own.epsilon,
      momentum: parseShare('momentum', flags.momentum) ?? own.momentum,
      nesterov: flags.nesterov ?? false,
    },
    rate: flags.lr === 'auto' ? 'auto' : (amount('lr', flags.lr) ?? optimizer.defaults.rate),
    decay: amount('weight-decay', flags['weight-decay']) ?? DECAY,
    clipNorm: amount('clip', flags.clip),
    clipValue: amount('clip-value', flags['clip-value']),
    accumulate: flags.accumulate,
    adapts: flags.adapt !== undefined,
    averaging: parseShare('ema', flags.ema),
    schedule: flags.schedule,
    warmup: amount('warmup', flags.warmup) ?? 0,
    precision: HALF[flags.precision],
    recompute: flags.recompute,
    gradientBits: flags['grad-bits'] === undefined ? undefined : Number(flags['grad-bits']),
    sparsity: (updates) => sparsitySchedule(flags, updates),
    penalty: (updates) => penaltySchedule(flags, updates),
  };
}

const HALF = { fp32: undefined, fp16: 'float16', bf16: 'bfloat16' } as const;
const CHOICES = 50;

/** How much goes, and between which updates. */
function pruningTime(flags: TrainFlagValues, updates: number) {
  const begin = Math.round((parseShare('prune-begin', flags['prune-begin']) ?? 0) * updates);
  const end = Math.round((parseShare('prune-end', flags['prune-end']) ?? 0.7) * updates);
  return { final: parseShare('prune-final', flags['prune-final']) ?? 0.5, begin, end };
}

function sparsitySchedule(flags: TrainFlagValues, updates: number): SparsitySchedule | undefined {
  const rule = flags['prune-schedule'];
  if (!rule || rule === 'structured') return undefined;
  const time = pruningTime(flags, updates);
  const every = flags['prune-every'] ?? Math.max(1, Math.round((time.end - time.begin) / CHOICES));
  return { rule, ...time, every };
}

function penaltySchedule(flags: TrainFlagValues, updates: number): PenaltySchedule | undefined {
  if (flags['prune-schedule'] !== 'structured') return undefined;
  const { final, begin, end } = pruningTime(flags, updates);
  // The last update at the latest sets what is left of the units to zero.
  const last = Math.max(0, updates - 1);
  return { final, begin: Math.min(begin, last), end: Math.min(Math.max(begin, end), last) };
}

/** Steps of the whole run. */
export function totalSteps(flags: TrainFlagValues, stepsPerEpoch: number): number {
  if (flags.steps !== undefined) return flags.steps;
  const epochs = amount('epochs', flags.epochs) ?? EPOCHS;
  return Math.max(1, Math.round(epochs * stepsPerEpoch));
}

function amount(flag: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseAmount(flag, text);
}

export function parseShare(flag: string, text: string | undefined): number | undefined {
  const value = amount(flag, text);
  if (value !== undefined && value >= 1)
    throw badFlagValue(flag, text ?? '', 'a number from 0 to 1');
  return value;
}
