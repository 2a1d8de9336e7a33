// What a training step minimises. An objective reads outputs of the model and targets of the data and
// writes, as nodes, a loss and metrics; each is a mean given by sum and count, so that means of batches
// add up to the mean of all.

import type { Dim, Node, Shape, Value } from '../../graph/index.ts';
import type { DType } from '../../tensor/dtype.ts';
import type { Formula } from '../formula.ts';
import type { Course } from '../schedule.ts';

/** Float32 scalars. */
export interface Mean {
  readonly sum: Value;
  readonly count: Value;
}

/** What an objective needs of the data beside the model's inputs, of one sample. */
export interface TargetSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Integers have to be below it; so many classes. */
  readonly below?: number | undefined;
  /** Of so many elements the first is such an integer; all are where it is absent. */
  readonly every?: number | undefined;
}

export interface ObjectiveSettings {
  /** Share of the target that is spread over all classes. */
  readonly labelSmoothing: number;
  readonly classWeights?: readonly number[] | undefined;
  /** mse, mae or huber. */
  readonly distance: 'mse' | 'mae' | 'huber';
  /** Where Huber's loss turns from square to straight. */
  readonly delta: number;
  /** Of the similarities of the contrastive loss. */
  readonly temperature: number;
  /** Name of the output that is the loss. */
  readonly output?: string | undefined;
  /** Pixels between the cells of a detector, level by level. */
  readonly strides?: readonly number[] | undefined;
  /** Rows for boxes that the data has for each sample. */
  readonly boxes?: number | undefined;
  /** Tokens of a batch that are to be told, at most; all where it is absent. */
  readonly told?: number | undefined;
}

export const OBJECTIVE_DEFAULTS: ObjectiveSettings = {
  labelSmoothing: 0,
  distance: 'mse',
  delta: 1,
  temperature: 0.5,
};

/** The model as an objective sees it: outputs and inputs with static shapes. */
export interface Ends {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

export interface ObjectiveContext extends Ends {
  readonly f: Formula;
  readonly settings: ObjectiveSettings;
  target(name: string): Value;
  /** [B]: 1 for samples, 0 for what fills up the last batch. Absent in training. */
  readonly real?: Value | undefined;
  /** A number that is fed anew in every step. Absent in evaluation, where courses are at their end. */
  everyStep?(name: string, course: Course): Value;
}

export interface Judged {
  readonly loss: Mean;
  readonly metrics: ReadonlyMap<string, Mean>;
}

export interface Objective {
  readonly summary: string;
  targets(ends: Ends, settings: ObjectiveSettings): readonly TargetSpec[];
  build(c: ObjectiveContext): Judged;
}

/** What changes neither the numbers (but for rounding) nor, where sizes stay the same, their order. */
const FORM_ONLY = new Set([
  ...['Identity', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'],
  ...['QuantizeLinear', 'DequantizeLinear'],
]);

/**
 * The logits behind probabilities: what a last Softmax (or Sigmoid) was made from, though rounding or
 * axes of size one stand behind it.
 */
export function logitsOf(output: Value, ops: readonly string[]): Value {
  const sizes = `${withoutOnes(output.shape)}`;
  for (let value: Value | undefined = output; value; value = value.producer?.inputs[0]) {
    const made: Node | undefined = value.producer;
    const logits = made?.inputs[0];
    if (!made || !logits || `${withoutOnes(value.shape)}` !== sizes) break;
    if (ops.includes(made.op)) return logits;
    if (!FORM_ONLY.has(made.op)) break;
  }
  return output;
}

/** Sizes without the ones behind the second axis: [N, C, 1, 1] as [N, C]. */
export function withoutOnes(shape: Shape | undefined): Dim[] {
  const left = [...(shape ?? [])];
  while (left.length > 2 && left.at(-1) === 1) left.pop();
  return left;
}

/** A mean as a number; 0 where nothing counts. */
export function meanValue(f: Formula, { sum, count }: Mean): Value {
  return f.div(sum, f.max(count, 1e-12));
}

/** The mean of `values`, each counted as often as `weights` says; all once where it is absent. */
export function meanOf(f: Formula, values: Value, weights?: Value): Mean {
  if (weights) return { sum: f.sum(f.mul(values, weights)), count: f.sum(weights) };
  const count = (values.shape ?? []).reduce<number>((product, dim) => product * Number(dim), 1);
  return { sum: f.sum(values), count: f.number(count, 'float32') };
}
