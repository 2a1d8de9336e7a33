// Ways to the amounts that are asked for: in steps with new scores, from a scan of each group by
// itself, and as far as a limit on what may be lost allows.

import { dropOutOfReach } from '../../errors/limit.ts';
import type { Model } from '../../graph/index.ts';
import type { Group } from '../../passes/prune/group.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { Judge } from '../judge.ts';
import { computeWeights } from '../models.ts';
import type { Ask, PartOutcome, Pruned, Pruner } from './plan.ts';

/** A pruner that goes the whole way in equal steps, each from scores of what is left by then. */
export function inSteps(pruner: Pruner, steps: number, reporter: Reporter): Pruner {
  if (steps <= 1) return pruner;
  return async (model, ask) => {
    let result: Pruned | undefined;
    for (let i = 0; i < steps; i++) {
      const way = { from: i / steps, to: (i + 1) / steps };
      const from = result ? await computeWeights(result.model) : model;
      const next = await pruner(from, { ...ask, way });
      result = result ? joined(result, next) : next;
      reporter.detail(`step ${i + 1} of ${steps} done`);
    }
    if (!result) throw new Error('there is at least one step');
    return { ...result, amount: ask.amount ?? 1 - (1 - result.amount) ** steps };
  };
}

/** What two steps, one after the other, made of each part. */
function joined(first: Pruned, second: Pruned): Pruned {
  const later = new Map(second.parts.map((part) => [part.part, part]));
  const parts = first.parts.map((part): PartOutcome => {
    const found = later.get(part.part);
    // Of single weights all are counted, those that are zero by then, too.
    const isNext = found?.before === (part.kind === 'weights' ? part.before : part.after);
    if (!found || !isNext) return part;
    const { after, reason } = found;
    return { ...part, after, reason: after < part.before ? undefined : reason };
  });
  return { ...second, parts };
}

/** What each group costs by itself, at some amounts. */
export interface Sensitivity {
  readonly group: string;
  /** Elements of the weights that the group cuts. */
  readonly elements: number;
  /** Amount and what is lost of the likeness to the original, ascending, from (0, 0). */
  readonly curve: readonly (readonly [amount: number, loss: number])[];
}

const SCAN_AMOUNTS = [0.25, 0.5, 0.75];
/** Of no group more goes by itself. */
const MOST = 0.9;

/** Prunes each group alone and runs the result. */
export async function scanGroups(
  pruner: Pruner,
  model: Model,
  judge: Judge,
  reporter: Reporter,
): Promise<Sensitivity[]> {
  const { groups = [] } = await pruner(model, { amount: 0.5 });
  const step = reporter.step('scanning', groups.length * SCAN_AMOUNTS.length);
  const found: Sensitivity[] = [];
  for (const group of groups) {
    const curve: [number, number][] = [[0, 0]];
    for (const amount of SCAN_AMOUNTS) {
      const { model: pruned } = await pruner(model, {
        amount,
        takes: ({ name }) => name === group.name,
      });
      const { fidelity } = await judge.judge(pruned);
      const [, before] = curve.at(-1) as [number, number];
      curve.push([amount, Math.max(before, 1 - fidelity)]);
      step.advance();
    }
    found.push({ group: group.name, elements: elementsOf(group), curve });
  }
  step.done();
  return found;
}

function elementsOf({ weights }: Group): number {
  return weights.reduce((sum, { value }) => sum + (value.data?.size ?? 0), 0);
}

/**
 * Amounts at which every group loses the same, so that the given share of all elements goes; the same
 * loss is found by bisection.
 */
export function amountsFrom(
  scan: readonly Sensitivity[],
): (group: Pick<Group, 'name'>, amount: number) => number | undefined {
  const known = new Map<number, ReadonlyMap<string, number>>();
  const all = scan.reduce((sum, { elements }) => sum + elements, 0);
  return ({ name }, amount) => {
    const amounts = known.get(amount) ?? atEqualLoss(scan, amount * all);
    known.set(amount, amounts);
    return amounts.get(name);
  };
}

const BISECTIONS = 40;

function atEqualLoss(scan: readonly Sensitivity[], wanted: number): Map<string, number> {
  const most = Math.max(0, ...scan.map(({ curve }) => extended(curve, 1)));
  let [low, high] = [0, most];
  const amountsAt = (loss: number) =>
    new Map(scan.map(({ group, curve }) => [group, amountAt(curve, loss)]));
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    const amounts = amountsAt(middle);
    const gone = scan.reduce(
      (sum, { group, elements }) => sum + elements * (amounts.get(group) ?? 0),
      0,
    );
    if (gone < wanted) low = middle;
    else high = middle;
  }
  return amountsAt(high);
}

/** The most that can go for a loss. */
function amountAt(curve: Sensitivity['curve'], loss: number): number {
  let best = 0;
  for (let i = 1; i < curve.length; i++) {
    const [[a, x], [b, y]] = [curve[i - 1] as [number, number], curve[i] as [number, number]];
    if (loss >= y) best = b;
    else if (loss > x) best = a + ((b - a) * (loss - x)) / (y - x);
  }
  const [last, top] = curve.at(-1) as [number, number];
  if (loss <= top || best < last) return best;
  const whole = extended(curve, 1);
  return Math.min(MOST, last + ((1 - last) * (loss - top)) / Math.max(whole - top, 1e-12));
}

/** A curve goes on as it ended; all of a group costs no less than anything. */
function extended(curve: Sensitivity['curve'], amount: number): number {
  const [last, top] = curve.at(-1) as [number, number];
  const [before, below] = curve.at(-2) as [number, number];
  const slope = Math.max((top - below) / (last - before), 1e-3);
  return top + slope * (amount - last);
}

const TRIALS = 6;

export interface Kept {
  readonly pruned: Pruned;
  /** Of what was asked for; 1 is all. */
  readonly scale: number;
}

/** As much of what is asked for as costs no more than the limit, by bisection. */
export async function withinDrop(
  pruner: Pruner,
  model: Model,
  ask: Ask,
  judge: Judge,
  maxDrop: number,
  reporter: Reporter,
): Promise<Kept> {
  const attempt = async (scale: number) => {
    const pruned = await pruner(model, { ...ask, scale });
    const { score } = await judge.judge(pruned.model);
    const drop = judge.reference - score;
    reporter.detail(`${percent(scale)} of the amount loses ${percent(drop)}`);
    return { pruned, scale, drop };
  };
  const whole = await attempt(1);
  if (whole.drop <= maxDrop) return whole;
  let [low, high] = [0, 1];
  let best: Kept | undefined;
  let least = whole.drop;
  for (let i = 0; i < TRIALS; i++) {
    const found = await attempt((low + high) / 2);
    if (found.drop <= maxDrop) {
      [best, low] = [found, found.scale];
    } else {
      [least, high] = [found.drop, found.scale];
    }
  }
  const cutsSomething = best?.pruned.parts.some(({ before, after }) => after < before);
  if (!best || !cutsSomething) throw dropOutOfReach(judge.metric, least, maxDrop);
  return best;
}

const percent = (value: number) => `${(100 * value).toFixed(2)}%`;
