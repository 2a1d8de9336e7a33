// What every way of quantising is given, and what it tells: the words shared by all modes.

import type { Model, Node, Value } from '../../graph/index.ts';
import type { Target } from '../../targets/target.ts';
import type { Range } from '../../tensor/affine.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Runner } from '../pass.ts';

export const PRECISIONS = [
  'float',
  'fp16',
  'bf16',
  'fp8',
  'int16',
  'int8',
  'int4',
  'int2',
] as const;
export type Precision = (typeof PRECISIONS)[number];

/** Shows a value of one batch. */
export type Visit = (name: string, tensor: Tensor, batch: number) => void | Promise<void>;

/** The calibration data, seen through a model. Never holds more than a few batches. */
export interface Calibration {
  /** Ranges of values of the main graph over all samples, by the method the user chose. */
  ranges(model: Model, names: readonly string[]): Promise<ReadonlyMap<string, Range>>;
  /** Shows inputs and values of the main graph, batch by batch; `limit` batches at most. */
  observe(model: Model, names: readonly string[], visit: Visit, limit?: number): Promise<void>;
}

export interface QuantizeContext {
  readonly run: Runner;
  readonly target: Target;
  readonly seed: number;
  /** Absent where no data was given. */
  readonly calibration?: Calibration | undefined;
  /** What the user, a recipe or a search wants of a node; undefined: what the mode does by itself. */
  wanted(node: Node): Precision | undefined;
  /**
   * What became of a node that a mode is about, told once for each; `reason` where it stayed float or
   * is less than was asked for.
   */
  decide(node: Node, precision: Precision, reason?: string): void;
  /** Told of a constant of which mode static stores integers: what stands for it, what it was. */
  stored?(dequantized: Value, float: Tensor): void;
}

/** The name of a layer in recipes and reports: that of the node, or else of its first result. */
export function layerName(node: Node): string {
  return node.name || (node.outputs[0]?.name ?? '');
}
