// How the axes of an operator's inputs and outputs are tied: the relation that structured pruning
// follows. A link joins two axes; positions of them with equal keys go together. Without keys, position
// i of one belongs to position i of the other. Weights are values like others, so a convolution is
// X.1 - W.1 (summed over), W.0 - Y.1, B.0 - Y.1.
// Idea: the dependency graph of DepGraph (Fang et al. 2023), here over positions instead of layers.

import { termsOf } from '../../graph/dim.ts';
import { type Dim, divideExactly, isUnknown, mul, sameDim, type Value } from '../../graph/index.ts';
import type { InferContext } from '../context.ts';

/** The key of position i is offset + step * (floor(i / stride) mod count), or `picks[i]`. */
export interface AxisKey {
  readonly stride?: number;
  readonly count?: number;
  readonly offset?: number;
  readonly step?: number;
  readonly picks?: readonly number[];
}

/** An axis of one input or output. */
export interface AxisPort {
  readonly value: Value;
  readonly axis: number;
  /** Position among the inputs; -1 is output 0, -2 output 1 … */
  readonly at: number;
  readonly key?: AxisKey;
  /** One of several readings of an axis that others are folded into: pruning follows one of them. */
  readonly factor?: true;
}

export interface AxisLink {
  readonly a: AxisPort;
  readonly b: AxisPort;
  /** The operator sums over `a`: positions that are gone count as zero. */
  readonly sums?: true;
  /** The operator mixes the axis but stands a cut: results change a little (LayerNormalization). */
  readonly exact?: false;
  /** The axis counts heads of attention. */
  readonly heads?: true;
}

export type LinkTraits = Pick<AxisLink, 'sums' | 'exact' | 'heads'>;

export function keyAt(key: AxisKey | undefined, position: number): number | undefined {
  if (!key) return position;
  if (key.picks) return key.picks[position];
  let digit = Math.floor(position / (key.stride ?? 1));
  if (key.count !== undefined) digit %= key.count;
  return (key.offset ?? 0) + (key.step ?? 1) * digit;
}

/**
 * Collects the links of one node. Axes of unknown size are passed over: never cut; of [batch * 12] the
 * 12 positions in each part of the batch can be.
 */
export class Links {
  readonly all: AxisLink[] = [];
  readonly c: InferContext;

  constructor(c: InferContext) {
    this.c = c;
  }

  /** An axis of input `index`, negative axes counted from the end. */
  in(index: number, axis: number, key?: AxisKey): AxisPort | undefined {
    return port(this.c.node.inputs[index], axis, index, key);
  }

  out(index: number, axis: number, key?: AxisKey): AxisPort | undefined {
    const value = this.c.node.outputs[index];
    return value?.name ? port(value, axis, -1 - index, key) : undefined;
  }

  /** Without keys both must have the same size: an axis of 1 that is stretched is not tied. */
  join(a: AxisPort | undefined, b: AxisPort | undefined, traits: LinkTraits = {}): void {
    if (!a || !b) return;
    if (!a.key && !b.key && !sameDim(dimOf(a), dimOf(b))) return;
    this.all.push({ a, b, ...traits });
  }

  /** An axis that may be cut here without any other following. */
  free(a: AxisPort | undefined, traits: LinkTraits = {}): void {
    if (a) this.all.push({ a, b: a, ...traits });
  }

  rank(input: number): number {
    return this.c.rank(input) ?? 0;
  }

  outRank(index = 0): number {
    return this.c.node.outputs[index]?.shape?.length ?? 0;
  }

  /** The size of an axis of an input, where it is a number. */
  size(input: number, axis: number): number | undefined {
    const dim = this.c.shape(input)?.at(axis);
    return typeof dim === 'number' ? dim : undefined;
  }
}

function port(
  value: Value | undefined,
  axis: number,
  at: number,
  key: AxisKey | undefined,
): AxisPort | undefined {
  const shape = value?.shape;
  if (!value || !shape) return undefined;
  const positive = axis < 0 ? axis + shape.length : axis;
  const dim = shape[positive];
  // Keys count positions on the whole axis.
  if (key ? typeof dim !== 'number' : slotsOf(dim) === undefined) return undefined;
  return { value, axis: positive, at, ...(key ? { key } : {}) };
}

function dimOf({ value, axis }: AxisPort): Dim {
  return value.shape?.[axis] as Dim;
}

/**
 * Positions of an axis that a cut can tell apart: all of them, or the 12 of [batch * 12], which lie in
 * each part of the batch.
 */
export function slotsOf(dim: Dim | undefined): number | undefined {
  if (dim === undefined || typeof dim === 'number') return dim;
  const terms = termsOf(dim);
  const [only] = terms;
  const isPeriodic = !isUnknown(dim) && terms.length === 1 && only && only.coefficient > 1;
  return isPeriodic ? only.coefficient : undefined;
}

/** The size of an axis of which so many slots are left. */
export function sizeWith(dim: Dim, slots: number): Dim {
  const whole = slotsOf(dim);
  if (typeof dim === 'number' || whole === undefined) return slots;
  return mul(divideExactly(dim, whole) ?? dim, slots);
}

/** The slots of a port's axis. */
export function sizeOf({ value, axis }: Pick<AxisPort, 'value' | 'axis'>): number {
  return slotsOf(value.shape?.[axis]) ?? 0;
}
