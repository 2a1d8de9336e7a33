// What a run of `prune` is made of: a pruner turns a model and an amount (or a target) into a smaller
// model, and says of each part what became of it. Searches for amounts only vary what they ask.

import type { Model } from '../../graph/index.ts';
import type { Target } from '../../passes/prune/channels.ts';
import type { Choice } from '../../passes/prune/cut.ts';
import type { Frozen, Group } from '../../passes/prune/group.ts';
import type { Contest } from '../../runtime/contest.ts';

/** Either an amount or a target; amounts of single groups come first. */
export interface Ask {
  readonly amount?: number | undefined;
  readonly target?: Target | undefined;
  /** What a scan says of a group, given the amount of all. */
  readonly amountOf?: ((group: Group, amount: number) => number | undefined) | undefined;
  readonly takes?: ((group: Group) => boolean) | undefined;
  /** A search for what a limit allows asks for less of everything: a factor of the amounts. */
  readonly scale?: number | undefined;
  /** The part of the way that a step goes, from 0 to 1; all of it where it is absent. */
  readonly way?: Way | undefined;
}

export interface Way {
  readonly from: number;
  readonly to: number;
}

/** What is left shrinks by the same factor in each step: 1 - (1 - a)^(to - from). */
export function stepAmount(amount: number, { scale = 1, way }: Ask): number {
  const whole = amount * scale;
  return way ? 1 - (1 - whole) ** (way.to - way.from) : whole;
}

/** Of single weights, whose zeros stay in the model: all that is to be gone after the step. */
export function amountByThen(amount: number, { scale = 1, way }: Ask): number {
  return 1 - (1 - amount * scale) ** (way?.to ?? 1);
}

/** The same of a target, whose costs are those of the model that the step starts with. */
export function stepTarget(target: Target, { scale = 1, way }: Ask): Target {
  const left = 1 - (1 - target.left) * scale;
  return { ...target, left: way ? left ** (way.to - way.from) : left };
}

/** A line of the report. */
export interface PartOutcome {
  readonly part: string;
  readonly kind: string;
  readonly before: number;
  readonly after: number;
  readonly reason?: string | undefined;
}

export interface Pruned {
  readonly model: Model;
  readonly parts: readonly PartOutcome[];
  readonly frozen: readonly Frozen[];
  readonly amount: number;
  /** Groups that took part: for scans. */
  readonly groups?: readonly Group[] | undefined;
  /** What was cut, told of the model as it was: for repair. */
  readonly choices?: readonly Choice[] | undefined;
  /** What repair did, in words. */
  readonly repair?: readonly string[] | undefined;
  /** What training did after the last step, in words. */
  readonly training?: string | undefined;
  /** Where the search has timed the result already. */
  readonly speed?: Contest | undefined;
}

export type Pruner = (model: Model, ask: Ask) => Promise<Pruned>;
