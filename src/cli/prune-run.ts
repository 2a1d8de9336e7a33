// The work of `prune` between reading and writing: prune, keep to the limits, run and time the result.
// What could not be measured is said.

import { cannotMeasureLimit } from '../errors/limit.ts';
import { resultDoesNotRun } from '../errors/model.ts';
import type { Model } from '../graph/index.ts';
import { type TargetName, targetOf } from '../passes/prune/targets.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Contest } from '../runtime/contest.ts';
import type { Quality } from './judge.ts';
import { timeAgainst } from './keep-faster.ts';
import type { Ask, Pruned, Pruner } from './prune-plan.ts';
import type { Trials } from './trials.ts';

export interface PruneInput {
  readonly path: string;
  /** As it was read: the reference for everything. */
  readonly original: Model;
  /** The same function, ready to be followed. */
  readonly plain: Model;
  readonly pruner: Pruner;
  readonly ask: Ask;
  readonly steps: number;
  readonly maxDrop?: number | undefined;
  readonly bench: boolean;
  /** Undefined, with the reason, where the original cannot be run. */
  readonly trials: Trials | string;
  readonly reporter: Reporter;
}

export interface PruneResult {
  readonly pruned: Pruned;
  readonly costs: Costs;
  readonly quality?: Quality | undefined;
  readonly speed?: Contest | undefined;
}

export type Costs = Readonly<Record<TargetName, readonly [before: number, after: number]>>;

export async function pruneModel(input: PruneInput): Promise<PruneResult> {
  const step = input.reporter.step('pruning');
  const pruned = await input.pruner(input.plain, input.ask);
  step.done();
  return measured(input, pruned);
}

/** Runs and times what came out. */
export async function measured(input: PruneInput, pruned: Pruned): Promise<PruneResult> {
  const { trials, reporter } = input;
  const costs = costsOf(input.plain, pruned.model);
  if (typeof trials === 'string') {
    if (input.maxDrop !== undefined) throw cannotMeasureLimit(trials);
    reporter.warn({ code: 'not-measured', message: `the result was not run: ${trials}` });
    return { pruned, costs };
  }
  const quality = await requireRuns(trials, pruned.model);
  const speed = input.bench ? await timeAgainst(trials.speed, pruned) : undefined;
  return { pruned, costs, quality, speed };
}

async function requireRuns(trials: Trials, model: Model): Promise<Quality> {
  try {
    return await trials.judge.judge(model);
  } catch (error) {
    throw resultDoesNotRun(error instanceof Error ? error.message : String(error));
  }
}

function costsOf(before: Model, after: Model): Costs {
  const pair = (name: TargetName): readonly [number, number] => {
    const { cost } = targetOf(name, 1);
    return [Number(cost(before.clone())), Number(cost(after.clone()))];
  };
  return { params: pair('params'), flops: pair('flops'), bytes: pair('bytes') };
}
