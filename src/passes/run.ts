// Applies passes to a copy of a model, up to a fixed point. Each pass that changed something is
// checked on the spot: same inputs, same outputs; one that is not the same function is undone and
// named.

import { allGraphs, checkModel, type Model } from '../graph/index.ts';
import { inferTypes } from '../ops/index.ts';
import type { Check } from './check.ts';
import type { Budget, Level, Pass, PassContext, Runner } from './pass.ts';

export interface RunOptions {
  readonly run: Runner;
  readonly level: Level;
  /** Compares the model with the original; absent: nothing is run. */
  readonly check?: Check | undefined;
  /** Rounds until nothing changes, at most. */
  readonly maxRounds?: number;
  /** Finds the node with which a pass that was taken back went wrong. */
  readonly bisect?: boolean;
  readonly onStep?: (step: StepReport) => void;
}

export interface Note {
  readonly node: string;
  readonly reason: string;
}

export interface StepReport {
  readonly pass: string;
  readonly round: number;
  readonly changed: boolean;
  readonly nodes_before: number;
  readonly nodes_after: number;
  readonly seconds: number;
  /** Why the pass was taken back. */
  readonly undone?: string;
  /** With `bisect`: the first node whose rewriting breaks the model. */
  readonly culprit?: string;
  readonly skipped: readonly Note[];
}

export interface RunResult {
  readonly model: Model;
  readonly changed: boolean;
  readonly steps: readonly StepReport[];
  /** False where the list was still changing the model after the last round. */
  readonly settled: boolean;
}

const MAX_ROUNDS = 12;

/** The model itself is not changed; tensors are shared with the result. */
export async function runPasses(
  original: Model,
  passes: readonly Pass[],
  options: RunOptions,
): Promise<RunResult> {
  let model = original.clone();
  inferTypes(model);
  const steps: StepReport[] = [];
  const banned = new Set<Pass>();
  let changed = false;
  let settled = false;
  for (let round = 1; round <= (options.maxRounds ?? MAX_ROUNDS) && !settled; round++) {
    settled = true;
    for (const pass of passes) {
      if (banned.has(pass)) continue;
      const { step, result } = await applyChecked(model, pass, round, options);
      model = result;
      if (step.undone) banned.add(pass);
      if (step.changed && !step.undone) [settled, changed] = [false, true];
      steps.push(step);
      options.onStep?.(step);
    }
  }
  return { model, changed, steps, settled };
}

async function applyChecked(model: Model, pass: Pass, round: number, options: RunOptions) {
  const started = performance.now();
  const before = countNodes(model);
  const skipped: Note[] = [];
  // Only a check can take a pass back, and only then is a copy needed.
  const candidate = options.check ? model.clone() : model;
  const context: PassContext = {
    run: options.run,
    level: options.level,
    note: (node, reason) => skipped.push({ node: node.describe(), reason }),
  };
  const changed = await pass.run(candidate, context);
  if (changed) inferTypes(candidate);
  const undone = changed ? await problemOf(candidate, options.check) : undefined;
  const result = changed && !undone ? candidate : model;
  const culprit =
    undone && options.bisect ? await findCulprit(model, pass, context, options) : undefined;
  const step: StepReport = {
    pass: pass.name,
    round,
    changed,
    nodes_before: before,
    nodes_after: countNodes(result),
    seconds: Number(((performance.now() - started) / 1000).toFixed(3)),
    ...(undone ? { undone } : {}),
    ...(culprit ? { culprit } : {}),
    skipped,
  };
  return { step, result };
}

/** Binary search over the number of nodes rewritten; undefined for passes that are no rewrites. */
async function findCulprit(
  model: Model,
  pass: Pass,
  context: PassContext,
  options: RunOptions,
): Promise<string | undefined> {
  const attempt = async (left: number) => {
    const budget: Budget = { left };
    const copy = model.clone();
    await pass.run(copy, { ...context, note: () => {}, budget });
    inferTypes(copy);
    return { broken: (await problemOf(copy, options.check)) !== undefined, budget };
  };
  const all = await attempt(Number.MAX_SAFE_INTEGER);
  let [good, bad] = [0, Number.MAX_SAFE_INTEGER - all.budget.left];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if ((await attempt(middle)).broken) bad = middle;
    else good = middle;
  }
  return bad > 0 ? (await attempt(bad)).budget.last : undefined;
}

async function problemOf(model: Model, check: Check | undefined): Promise<string | undefined> {
  if (!check) return undefined;
  const [broken] = checkModel(model);
  return broken?.message ?? (await check(model));
}

/** Nodes of all graphs. */
export function countNodes(model: Model): number {
  let count = 0;
  for (const graph of allGraphs(model)) count += graph.nodeCount;
  return count;
}
