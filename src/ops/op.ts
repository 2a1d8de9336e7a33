// What is known about an operator, in one record; the families define them, everyone looks them up.
// An operator without a record is unknown: never touched, never guessed.

import type { Dim, Node, Shape, Type } from '../graph/index.ts';
import { tensorType } from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import type { Links } from './axes/link.ts';
import type { ResizeContext } from './axes/resize.ts';
import type { InferContext } from './context.ts';

/** What inference finds out about one output. */
export interface Inferred {
  readonly type: Type | undefined;
  /** Elements of a small integer tensor (rank 0 to 2, row by row), possibly symbolic. */
  readonly known?: readonly Dim[] | undefined;
}

export interface OpSpec {
  readonly op: string;
  /** '' is the standard domain. */
  readonly domain?: string;
  /**
   * Types of the outputs, in order; a shorter list leaves the rest unknown. `c.fail(…)` reports
   * inputs that cannot be. Must cover every opset version of the operator.
   */
  infer(c: InferContext): readonly (Inferred | undefined)[];
  /** Multiply-adds of one run; undefined where a size is unknown. Absent: one per output element. */
  cost?(c: InferContext): Dim | undefined;
  /** False for operators that draw random numbers or have state: never folded, never merged. */
  readonly pure?: boolean;
  /** How often body `index` runs; of several that may run, one does. Absent: once. */
  runs?(c: InferContext, index: number): Dim | undefined;
  /** Inputs that hold running statistics: stored like weights, but never trained. */
  readonly statistics?: readonly number[];
  /** How its axes are tied, for structured pruning. An axis without a link is never cut. */
  axes?(l: Links): void;
  /** The input that says the shape of output 0, where it may be calculated at run time. */
  readonly shapeInput?: number;
  /** Sets what says sizes anew after axes have been cut. */
  resize?(r: ResizeContext): void;
}

const specs = new Map<string, OpSpec>();

/** Registers records; a second record for an operator is a bug. */
export function define(...records: readonly OpSpec[]): void {
  for (const record of records) {
    const key = `${record.domain ?? ''}:${record.op}`;
    if (specs.has(key)) throw new Error(`operator ${key} is defined twice`);
    specs.set(key, record);
  }
}

/** The record of an operator; undefined when nothing is known about it. */
export function lookup(node: Pick<Node, 'op' | 'domain'>): OpSpec | undefined {
  return specs.get(`${node.domain}:${node.op}`);
}

export function allSpecs(): OpSpec[] {
  return [...specs.values()];
}

/** An inferred tensor. */
export function tensor(
  dtype: DType | undefined,
  shape: Shape | undefined,
  known?: readonly Dim[],
): Inferred {
  return { type: tensorType(dtype, shape), known };
}
