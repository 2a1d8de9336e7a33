// The flags of `train`, and of everything else that trains.

import { Flags } from '@oclif/core';
import { OBJECTIVES, type ObjectiveName } from '../../train/objectives/index.ts';
import { OPTIMIZERS } from '../../train/optimizers.ts';
import { SCHEDULES, type ScheduleName } from '../../train/schedule.ts';
import { retainFlags } from './retain-flags.ts';

const objective = { helpGroup: 'OBJECTIVE' } as const;
const optimisation = { helpGroup: 'OPTIMISATION' } as const;
const quantisation = { helpGroup: 'QUANTISATION' } as const;
const run = { helpGroup: 'RUN' } as const;
const number = (summary: string, helpValue: string, group: object) =>
  Flags.string({ summary, helpValue, ...group });

export const trainFlags = {
  ...retainFlags,
  objective: Flags.option({ options: Object.keys(OBJECTIVES) as ObjectiveName[] })({
    summary: 'what to minimise (default: follows from the data)',
    ...objective,
  }),
  loss: Flags.string({
    summary: 'an output of the model that is the loss',
    helpValue: 'OUTPUT',
    ...objective,
  }),
  'label-smoothing': number('share of the target that all classes have', 'F', objective),
  'class-weights': number('how much each class counts', 'W,W,…', objective),
  distance: Flags.option({ options: ['mse', 'mae', 'huber'] as const })({
    summary: 'of regression and reconstruction',
    default: 'mse',
    ...objective,
  }),
  delta: number("where Huber's loss turns straight", 'X', objective),
  temperature: number('of the contrastive loss', 'T', objective),
  strides: Flags.string({
    summary: 'pixels between cells, level by level (detect; default: follows from the sizes)',
    helpValue: 'N,N,…',
    ...objective,
  }),
  'mask-token': Flags.integer({ summary: 'the token that hides others (mlm)', ...objective }),
  'mask-share': number('share of the tokens that are to be told (mlm)', 'F', objective),
  val: Flags.string({
    summary: 'data to validate on; with --split, the other part where it is left out',
    helpValue: 'PATH',
    ...run,
  }),
  epochs: number('times through the data', 'N', run),
  steps: Flags.integer({ summary: 'steps, instead of epochs', min: 1, helpValue: 'N', ...run }),
  optimizer: Flags.option({ options: Object.keys(OPTIMIZERS) })({
    summary: 'how weights move',
    default: 'adamw',
    ...optimisation,
  }),
  lr: number(
    'learning rate at its peak, or auto: what a short test finds (default: that of the optimiser)',
    'RATE',
    optimisation,
  ),
  schedule: Flags.option({ options: Object.keys(SCHEDULES) as ScheduleName[] })({
    summary: 'the way of the learning rate',
    default: 'cosine',
    ...optimisation,
  }),
  warmup: number('steps of the way up, or a share of all', 'N', optimisation),
  'weight-decay': number('of weights, not of biases and norms (default 0.01)', 'F', optimisation),
  momentum: number('of sgd', 'F', optimisation),
  nesterov: Flags.boolean({ summary: "Nesterov's momentum (sgd)", ...optimisation }),
  beta1: number('of adam and its kin', 'F', optimisation),
  beta2: number('of adam and its kin', 'F', optimisation),
  epsilon: number('of adam and its kin', 'F', optimisation),
  clip: number('largest norm of all gradients together', 'NORM', optimisation),
  'clip-value': number('largest size of an element of a gradient', 'X', optimisation),
  accumulate: Flags.integer({
    summary: 'batches whose gradients make one update',
    min: 1,
    default: 1,
    helpValue: 'N',
    ...optimisation,
  }),
  adapt: Flags.option({ options: ['noise'] as const })({
    summary:
      'scale the rate, that of one batch, by what the noise of the gradients of --accumulate N allows',
    ...optimisation,
  }),
  precision: Flags.option({ options: ['fp32', 'fp16', 'bf16'] as const })({
    summary: 'of products and convolutions; weights and everything else stay fp32',
    default: 'fp32',
    ...optimisation,
  }),
  'keep-half': Flags.boolean({
    summary: 'write the model in that precision, too; inputs and outputs stay fp32',
    ...optimisation,
  }),
  recompute: Flags.boolean({
    summary: 'less memory for more time: make activations again in the backward pass',
    ...optimisation,
  }),
  'grad-bits': Flags.option({ options: ['8', '4'] as const })({
    summary: 'round gradients stochastically to so many bits, with error feedback',
    ...optimisation,
  }),
  'prune-schedule': Flags.option({
    options: ['magnitude', 'movement', 'rigl', 'structured'] as const,
  })({
    summary: 'make weights zero while training: which ones; structured: whole units, which are cut',
    ...optimisation,
  }),
  'prune-final': number(
    'share of zeros, or of units that go, at the end (default 0.5)',
    'F',
    optimisation,
  ),
  'prune-begin': number(
    'where pruning begins, as a share of the run (default 0)',
    'F',
    optimisation,
  ),
  'prune-end': number('where it ends, as a share of the run (default 0.7)', 'F', optimisation),
  'prune-every': Flags.integer({
    summary: 'updates between two choices of zeros (default: 50 choices)',
    min: 1,
    helpValue: 'N',
    ...optimisation,
  }),
  head: Flags.string({
    summary: 'give the model a head of its own, as in classify:10',
    helpValue: 'classify:N',
    exclusive: ['expand-classes'],
    ...objective,
  }),
  'expand-classes': Flags.integer({
    summary: 'more classes beside those the model has: N in all',
    min: 2,
    helpValue: 'N',
    ...objective,
  }),
  lora: Flags.integer({
    summary: 'train low-rank changes of the weights only, of this rank; they are merged at the end',
    min: 1,
    helpValue: 'RANK',
    ...optimisation,
  }),
  'lora-alpha': number(
    'scale of the changes is ALPHA / RANK (default: twice the rank)',
    'ALPHA',
    optimisation,
  ),
  'lora-target': Flags.string({
    summary: 'weights or nodes that get such changes (default: all products)',
    helpValue: 'PATTERN',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    ...optimisation,
  }),
  adapters: Flags.integer({
    summary:
      'train bottlenecks of this width behind each block of a transformer, norms and the head only',
    min: 1,
    helpValue: 'WIDTH',
    exclusive: ['lora'],
    ...optimisation,
  }),
  'lora-out': Flags.string({
    summary: 'write the changes apart, to a safetensors file',
    helpValue: 'FILE',
    ...optimisation,
  }),
  qat: Flags.option({ options: ['int8', 'int4'] as const })({
    summary:
      'quantisation-aware training: the written model is quantised, its weights of this type',
    ...quantisation,
  }),
  'qat-samples': Flags.integer({
    summary: 'training samples on which ranges of activations are observed first',
    default: 128,
    min: 1,
    helpValue: 'N',
    ...quantisation,
  }),
  'qat-freeze': number(
    'share of the run after which scales stay as they are (default 0.8)',
    'F',
    quantisation,
  ),
  'qat-skip': Flags.string({
    summary: 'layers that stay float: a name (of node or weight) with *, op:Conv, or re:EXPRESSION',
    helpValue: 'PATTERN',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    ...quantisation,
  }),
  standardize: Flags.boolean({
    summary:
      'bring inputs, and numbers to be told, to mean 0 and deviation 1 as the training data has them, by steps that stay in the model',
    ...optimisation,
  }),
  ema: number('write a moving average of the weights: the share of the old', 'F', optimisation),
  freeze: Flags.string({
    summary: 'weights or nodes that are not trained',
    helpValue: 'PATTERN',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    ...optimisation,
  }),
  'eval-every': Flags.integer({
    summary: 'steps between validations (default: an epoch)',
    min: 1,
    helpValue: 'N',
    ...run,
  }),
  patience: Flags.integer({
    summary: 'validations without gain before the run ends, or the rate falls (plateau)',
    min: 1,
    helpValue: 'N',
    ...run,
  }),
  keep: Flags.option({ options: ['last', 'best'] as const })({
    summary: 'which weights are written (default: best with --patience, else last)',
    ...run,
  }),
  checkpoint: Flags.string({
    summary: 'where the state of the run is kept (default: OUT.checkpoint)',
    helpValue: 'FILE',
    ...run,
  }),
  'checkpoint-every': Flags.integer({
    summary: 'steps between checkpoints (default: an epoch)',
    min: 1,
    helpValue: 'N',
    ...run,
  }),
  resume: Flags.boolean({ summary: 'go on from the checkpoint', ...run }),
  log: Flags.string({ summary: 'write a JSON line per chunk of steps', helpValue: 'FILE', ...run }),
  tensorboard: Flags.string({
    summary: 'write event files for TensorBoard',
    helpValue: 'DIR',
    ...run,
  }),
  histograms: Flags.boolean({
    summary: 'weights as histograms in them, as often as there are checkpoints',
    dependsOn: ['tensorboard'],
    ...run,
  }),
};
