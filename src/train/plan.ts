// What a training step is made of, and the state that it carries.

import type { Model, Value } from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Objective, ObjectiveSettings } from './objectives/objective.ts';
import type { Optimizer, OptimizerSettings } from './optimizers.ts';
import type { Course } from './schedule.ts';
import type { SparsityRule } from './sparsity.ts';

/** A value that the forward pass makes anew: the running statistics of BatchNormalization. */
export interface Buffer {
  readonly value: Value;
  readonly next: Value;
}

export interface StepPlan {
  /** The forward pass with static shapes and inferred types; it is used up. */
  readonly model: Model;
  /** Initializers of its main graph. */
  readonly parameters: readonly Value[];
  readonly buffers: readonly Buffer[];
  readonly objective: Objective;
  readonly settings: ObjectiveSettings;
  readonly optimizer: Optimizer;
  readonly optimizerSettings: OptimizerSettings;
  /** Weight decay of a parameter. */
  decay(parameter: Value): number;
  /** Largest norm of all gradients together. */
  readonly clipNorm?: number | undefined;
  /** Largest size of an element of a gradient. */
  readonly clipValue?: number | undefined;
  /** Micro-batches whose gradients are averaged for one update. */
  readonly accumulate?: number | undefined;
  /** The rate follows the noise of the gradients; needs two micro-batches or more. */
  readonly adapts?: boolean | undefined;
  /** Samples of a micro-batch. */
  readonly samples?: number | undefined;
  /** Share of the old in the moving average of the weights. */
  readonly averaging?: number | undefined;
  /** Products in half precision; the loss is scaled for float16. */
  readonly precision?: 'float16' | 'bfloat16' | undefined;
  /** Gradients are rounded to so many bits, what is lost is added to the next ones. */
  readonly gradientBits?: number | undefined;
  /** Scales of fake quantisation among the parameters, each with the factor of its gradient. */
  readonly scales?: ReadonlyMap<Value, number> | undefined;
  /** Weights that become zero while training. */
  readonly sparsity?:
    | { readonly rule: SparsityRule; applies(parameter: Value): boolean }
    | undefined;
  /** Units are pruned by a penalty that grows. */
  readonly penalises?: boolean | undefined;
}

export type StateKind =
  | 'parameter'
  | 'buffer'
  | 'slot'
  | 'average'
  | 'sum'
  | 'mask'
  | 'score'
  | 'penalty'
  | 'residue'
  | 'scalar';

export interface StateSpec {
  readonly name: string;
  readonly kind: StateKind;
  /** The parameter it belongs to. */
  readonly of?: string | undefined;
  readonly initial: Tensor;
}

export interface InputOf {
  readonly name: string;
  readonly dtype: DType;
  /** Of one step. */
  readonly shape: readonly number[];
}

/** The training graph: K steps in one run. */
export interface TrainingGraph {
  readonly model: Model;
  readonly state: readonly StateSpec[];
  readonly data: readonly InputOf[];
  /** Per-step inputs of the objective, and what they are fed over the run. */
  readonly courses: ReadonlyMap<string, Course>;
  /** Stacked outputs by what they say: loss, gradient_norm, metrics as `name` with `name#count`. */
  readonly reports: ReadonlyMap<string, string>;
}

/** Per-step inputs that the trainer feeds beside data. */
export const RATE = 'rate';
/** The rate of scales, which stay as they are at the end of a run. */
export const SCALE_RATE = 'scale_rate';
export const BOUNDARY = 'boundary';
/** Share of zeros that is due, whether masks are made anew, and the share that may move (RigL). */
export const SPARSITY = 'sparsity';
export const PRUNE = 'prune';
export const DROP = 'drop';
/** Share of what is penalised that goes. */
export const SHRINK = 'shrink';
