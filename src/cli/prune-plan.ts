// What a run of `prune` is made of: a pruner turns a model and an amount (or a target) into a smaller
// model, and says of each part what became of it. Searches for amounts only vary what they ask.

import type { Model } from '../graph/index.ts';
import type { Target } from '../passes/prune/channels.ts';
import type { Frozen, Group } from '../passes/prune/group.ts';

/** Either an amount or a target; amounts of single groups come first. */
export interface Ask {
  readonly amount?: number | undefined;
  readonly target?: Target | undefined;
  readonly amountOf?: ((group: Group) => number | undefined) | undefined;
  readonly takes?: ((group: Group) => boolean) | undefined;
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
  /** Groups that took part, with the model they are of: for scans. */
  readonly groups?: readonly Group[] | undefined;
}

export type Pruner = (model: Model, ask: Ask) => Promise<Pruned>;
