// Applies passes to a copy of a model, up to a fixed point. Each pass that changed something is
// checked on the spot: same inputs, same outputs; one that is not the same function is undone and
// named. Where a check takes long, a round is checked as a whole, and pass by pass only if it fails.

import { XformError } from '../errors/error.ts';
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
/** A check that takes longer is made once a round. */
const PATIENCE_MS = 1000;

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
    const left = passes.filter((pass) => !banned.has(pass));
    const done = await applyRound(model, left, round, options);
    model = done.model;
    settled = !done.steps.some((step) => step.changed && !step.undone);
    changed ||= !settled;
    for (const step of done.steps) {
      steps.push(step);
      options.onStep?.(step);
      const pass = passes.find(({ name }) => name === step.pass);
      if (step.undone && pass) banned.add(pass);
    }
  }
  return { model, changed, steps, settled };
}

interface Round {
  readonly model: Model;
  readonly steps: StepReport[];
}

async function applyRound(
  model: Model,
  passes: readonly Pass[],
  round: number,
  options: RunOptions,
): Promise<Round> {
  const { check } = options;
  if (check && check.ms > PATIENCE_MS) {
    const trial = await applyAll(model, passes, round, { ...options, check: undefined });
    const changed = trial.steps.some((step) => step.changed);
    if (!changed || (await problemOf(trial.model, check)) === undefined) return trial;
  }
  return applyAll(model, passes, round, options);
}

async function applyAll(
  model: Model,
  passes: readonly Pass[],
  round: number,
  options: RunOptions,
): Promise<Round> {
  const steps: StepReport[] = [];
  const banned = new Set<Pass>();
  let current = model;
  for (const pass of passes) {
    if (banned.has(pass)) continue;
    const { step, result } = await applyChecked(current, pass, round, options);
    if (step.undone) banned.add(pass);
    steps.push(step);
    current = result;
  }
  return { model: current, steps };
}

async function applyChecked(model: Model, pass: Pass, round: number, options: RunOptions) {
  const started = performance.now();
  const before = countNodes(model);
  const skipped: Note[] = [];
  const context: PassContext = {
    run: options.run,
    level: options.level,
    note: (node, reason) => skipped.push({ node: node.describe(), reason }),
  };
  const trial = await attempt(model, pass, context, options);
  const undone = trial.problem;
  const result = trial.changed && !undone ? trial.model : model;
  const culprit =
    undone && options.bisect ? await findCulprit(model, pass, context, options) : undefined;
  const step: StepReport = {
    pass: pass.name,
    round,
    changed: trial.changed,
    nodes_before: before,
    nodes_after: countNodes(result),
    seconds: Number(((performance.now() - started) / 1000).toFixed(3)),
    ...(undone ? { undone } : {}),
    ...(culprit ? { culprit } : {}),
    skipped,
  };
  return { step, result };
}

/** Applies a pass to a copy, and says what is wrong with it then. */
async function attempt(model: Model, pass: Pass, context: PassContext, options: RunOptions) {
  const copy = model.clone();
  try {
    const changed = await pass.run(copy, context);
    if (!changed) return { model: copy, changed, problem: undefined };
    liftIrVersion(copy);
    inferTypes(copy);
    return { model: copy, changed, problem: await problemOf(copy, options.check) };
  } catch (error) {
    // What files and users do wrong is no fault of the pass.
    if (error instanceof XformError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    return { model: copy, changed: true, problem: `it failed: ${reason.split('\n')[0]}` };
  }
}

/** Until IR 3 every initializer had to be an input, too: new ones are not. */
function liftIrVersion(model: Model): void {
  const inputs = new Set(model.graph.inputs);
  const isNew = [...model.graph.initializers].some((value) => !inputs.has(value));
  if (isNew) model.irVersion = Math.max(model.irVersion, 4);
}

/** Binary search over the number of edits; undefined where one alone breaks nothing. */
async function findCulprit(
  model: Model,
  pass: Pass,
  context: PassContext,
  options: RunOptions,
): Promise<string | undefined> {
  const limited = async (left: number) => {
    const budget: Budget = { left };
    const silent = { ...context, note: () => {}, budget };
    const { problem } = await attempt(model, pass, silent, options);
    return { isBroken: problem !== undefined, budget };
  };
  const all = await limited(Number.MAX_SAFE_INTEGER);
  let [good, bad] = [0, Number.MAX_SAFE_INTEGER - all.budget.left];
  if (!all.isBroken || bad === 0) return undefined;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if ((await limited(middle)).isBroken) bad = middle;
    else good = middle;
  }
  return (await limited(bad)).budget.last;
}

async function problemOf(model: Model, check: Check | undefined): Promise<string | undefined> {
  const [broken] = checkModel(model);
  if (broken) return broken.message;
  return check ? await check.compare(model) : undefined;
}

/** Nodes of all graphs. */
export function countNodes(model: Model): number {
  let count = 0;
  for (const graph of allGraphs(model)) count += graph.nodeCount;
  return count;
}
