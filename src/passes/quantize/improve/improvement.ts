// What an improvement of quantisation is: a named edit of the float model before it is quantised, or
// of the quantised model afterwards, that can be left out. None changes what the float model computes.

import type { Model, Node } from '../../../graph/index.ts';
import type { QuantizeContext } from '../context.ts';
import type { Settings } from '../settings.ts';

/** What the quantisation is like that an improvement prepares or mends. */
export type ImproveOptions = Pick<
  Settings,
  'activations' | 'weights' | 'perChannel' | 'symmetric' | 'reduceRange'
> & {
  /** Scales activations by a Mul of their own where nothing before them can take the factors. */
  readonly insertMul?: boolean | undefined;
};

export interface ImproveContext extends QuantizeContext {
  /** Says what became of a node, with figures, or why it was left as it was. */
  note(node: Node, text: string): void;
}

interface Named {
  /** The file's name, and the word for `--improve`. */
  readonly name: string;
  readonly summary: string;
  /** Does nothing without calibration data. */
  readonly needsData: boolean;
}

export interface FloatImprovement extends Named {
  readonly stage: 'float';
  /** Edits the model in place; true when it changed anything. */
  run(model: Model, options: ImproveOptions, context: ImproveContext): Promise<boolean>;
}

export interface QuantizedImprovement extends Named {
  readonly stage: 'quantized';
  /** Edits the quantised model in place, knowing the float model that it was made of. */
  run(
    quantized: Model,
    float: Model,
    options: ImproveOptions,
    context: ImproveContext,
  ): Promise<boolean>;
}

export type Improvement = FloatImprovement | QuantizedImprovement;
