// The work of `prune` between reading and writing: prune, keep to the limits, run and time the result.
// What could not be measured is said.

import type { XformError } from '../../errors/error.ts';
import { cannotMeasureLimit } from '../../errors/limit.ts';
import { resultDoesNotRun } from '../../errors/model.ts';
import type { Model } from '../../graph/index.ts';
import { type TargetName, targetOf } from '../../passes/prune/targets.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { Contest } from '../../runtime/contest.ts';
import type { Quality } from '../judge.ts';
import { type PackedSize, packedSize } from '../packed-size.ts';
import { timeAgainst } from '../quantize/keep-faster.ts';
import type { Trials } from '../trials.ts';
import { type LatencyOptions, pruneToLatency } from './latency.ts';
import type { Ask, Pruned, Pruner } from './plan.ts';
import { amountsFrom, inSteps, type Sensitivity, scanGroups, withinDrop } from './tune.ts';

export interface PruneInput {
  readonly path: string;
  /** As it was read: the reference for everything. */
  readonly original: Model;
  /** The same function, ready to be followed. */
  readonly plain: Model;
  readonly pruner: Pruner;
  /** Trains what each step leaves; scans go without it. */
  readonly heal?: ((pruner: Pruner) => Pruner) | undefined;
  readonly ask: Ask;
  readonly steps: number;
  /** Whether amounts of groups follow from a scan. */
  readonly scan: boolean;
  /** Set: the amount is what meets a latency. */
  readonly latency?: LatencyOptions | undefined;
  readonly maxDrop?: number | undefined;
  readonly bench: boolean;
  /** Undefined, with the reason, where the original cannot be run. */
  readonly trials: Trials | string;
  readonly reporter: Reporter;
}

export interface PruneResult {
  readonly pruned: Pruned;
  /** Sizes of the packed weights, where zeros are what was won. */
  readonly packed?: readonly [before: PackedSize, after: PackedSize] | undefined;
  readonly costs: Costs;
  readonly quality?: Quality | undefined;
  readonly speed?: Contest | undefined;
  readonly scan?: readonly Sensitivity[] | undefined;
  readonly unmet?: XformError | undefined;
}

export type Costs = Readonly<Record<TargetName, readonly [before: number, after: number]>>;

export async function pruneModel(given: PruneInput): Promise<PruneResult> {
  const healed = given.heal?.(given.pruner) ?? given.pruner;
  const pruner = inSteps(healed, given.steps, given.reporter);
  const { ask, scan } = given.scan ? await scanned(given) : { ask: given.ask, scan: undefined };
  const input = { ...given, pruner, ask };
  const { pruned, unmet } = await chosen(input);
  return { ...(await measured(input, pruned)), scan, unmet };
}

/** Amounts that follow from what each group costs by itself. */
async function scanned(input: PruneInput): Promise<{ ask: Ask; scan: readonly Sensitivity[] }> {
  const { judge } = trialsFor(input);
  const scan = await scanGroups(input.pruner, input.plain, judge, input.reporter);
  return { scan, ask: { ...input.ask, amountOf: amountsFrom(scan) } };
}

interface Chosen {
  readonly pruned: Pruned;
  readonly unmet?: XformError | undefined;
}

async function chosen(input: PruneInput): Promise<Chosen> {
  const { ask, pruner, plain, maxDrop, latency, reporter } = input;
  if (latency) return pruneToLatency(pruner, plain, ask, trialsFor(input).speed, latency);
  if (maxDrop !== undefined) {
    const { judge } = trialsFor(input);
    const { pruned, scale } = await withinDrop(pruner, plain, ask, judge, maxDrop, reporter);
    if (scale < 1) {
      const message = `--max-drop ${maxDrop} allows ${(100 * scale).toFixed(0)}% of what was asked for`;
      reporter.warn({ code: 'stopped-in-time', message });
    }
    return { pruned };
  }
  const step = reporter.step('pruning');
  const pruned = await pruner(plain, ask);
  step.done();
  return { pruned };
}

/** A limit that cannot be measured must not pass for one that is kept. */
function trialsFor({ trials }: PruneInput): Trials {
  if (typeof trials === 'string') throw cannotMeasureLimit(trials);
  return trials;
}

/** Runs and times what came out. */
async function measured(input: PruneInput, pruned: Pruned): Promise<PruneResult> {
  const { trials, reporter } = input;
  const costs = costsOf(input.plain, pruned.model);
  const isSparse = pruned.parts.some(({ kind }) => kind === 'weights');
  const packed =
    isSparse && typeof trials !== 'string'
      ? ([await packedSize(input.plain), await packedSize(pruned.model)] as const)
      : undefined;
  if (typeof trials === 'string') {
    reporter.warn({ code: 'not-measured', message: `the result was not run: ${trials}` });
    return { pruned, costs };
  }
  const quality = await requireRuns(trials, pruned.model);
  const speed = pruned.speed ?? (input.bench ? await timeAgainst(trials.speed, pruned) : undefined);
  return { pruned, costs, packed, quality, speed };
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
