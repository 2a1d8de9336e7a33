// How much a unit matters. Most criteria score positions along an axis of a weight (or of a computed
// value, where data is at hand); the score of a unit adds up its positions and joins the axes its group
// lies on. L1, L2: Li et al. 2017; BatchNorm scale: Liu et al. 2017 (Network Slimming); LAMP: Lee et
// al. 2021; FPGM: He et al. 2019.

import type { Value } from '../../graph/index.ts';
import { elementCount } from '../../tensor/dtype.ts';
import { Random } from '../../tensor/random.ts';
import type { Runner } from '../pass.ts';
import { medianDistances } from './geometric-median.ts';
import type { Group, Member } from './group.ts';
import { type Numbers, numbersOf } from './weights.ts';

export type Reduction = 'mean' | 'sum' | 'max';
export type Normalization = 'none' | 'mean' | 'max' | 'lamp';

export interface ImportanceContext {
  readonly seed: number;
  readonly reduction: Reduction;
  /** For criteria that multiply matrices; without it they do so here, slowly. */
  readonly run?: Runner | undefined;
}

/** Scores of all units, group by group; higher is more important. */
export type Criterion = (
  groups: readonly Group[],
  context: ImportanceContext,
) => Promise<Float64Array[]>;

/** Scores of the positions along the axis of a member; undefined where it has no say. */
export type PositionScores = (member: Member, group: Group) => ArrayLike<number> | undefined;

export const CRITERIA = ['l1', 'l2', 'bn-scale', 'lamp', 'fpgm', 'random'] as const;
export type CriterionName = (typeof CRITERIA)[number];

export function criterionNamed(name: CriterionName): Criterion {
  switch (name) {
    case 'l1':
      return (groups, context) => byNorm(groups, context, Math.abs, (sum) => sum);
    case 'l2':
    case 'lamp':
      return (groups, context) => byNorm(groups, context, (w) => w * w, Math.sqrt);
    case 'bn-scale':
      return byBatchNorm;
    case 'fpgm':
      return (groups, context) => medianDistances(groups, context);
    case 'random':
      return async (groups, { seed }) =>
        groups.map(({ name, units }) => {
          const random = new Random(seed, name);
          return Float64Array.from({ length: units }, () => random.uniform());
        });
  }
}

/** Makes comparable what groups of different sizes score: LAMP and others work on whole groups. */
export function normalized(scores: Float64Array, how: Normalization): Float64Array {
  if (how === 'none') return scores;
  if (how === 'lamp') return lamp(scores);
  const whole =
    how === 'max' ? Math.max(...scores) : scores.reduce((a, b) => a + b, 0) / scores.length;
  return scores.map((score) => (whole > 0 ? score / whole : score));
}

/** The square of a score over the sum of those squares that are no smaller. */
function lamp(scores: Float64Array): Float64Array {
  const order = Array.from(scores, (_, i) => i).sort(
    (a, b) => (scores[b] as number) - (scores[a] as number) || a - b,
  );
  const result = new Float64Array(scores.length);
  let sum = 0;
  for (const i of order) {
    const square = (scores[i] as number) ** 2;
    sum += square;
    result[i] = sum > 0 ? square / sum : 0;
  }
  return result;
}

/**
 * Criteria from scores of positions, of weights or of computed values: adds up the positions of each
 * unit, finishes the sum, and joins the members. Serves activations, Taylor and Fisher scores, too.
 */
export function fromPositions(
  groups: readonly Group[],
  scores: PositionScores,
  reduction: Reduction,
  finish: (sum: number) => number = (sum) => sum,
): Float64Array[] {
  return groups.map((group) => {
    const result = new Float64Array(group.units);
    let members = 0;
    for (const member of [...group.weights, ...group.values]) {
      const given = scores(member, group);
      if (!given) continue;
      members += 1;
      member.positions.forEach((positions, unit) => {
        let sum = 0;
        for (const i of positions) sum += given[i] as number;
        const score = finish(sum);
        const before = result[unit] as number;
        result[unit] = reduction === 'max' ? Math.max(before, score) : before + score;
      });
    }
    return reduction === 'mean' && members > 1 ? result.map((sum) => sum / members) : result;
  });
}

/** Norms over the weights that make units and those that read them; biases and scales have no say. */
async function byNorm(
  groups: readonly Group[],
  { reduction }: ImportanceContext,
  power: (weight: number) => number,
  finish: (sum: number) => number,
): Promise<Float64Array[]> {
  const sums = await positionSums(
    groups.flatMap(({ weights }) => weights.filter(isCounted)),
    power,
  );
  const scores: PositionScores = ({ value, axis }) => sums.get(value)?.get(axis);
  return fromPositions(groups, scores, reduction, finish);
}

function isCounted({ role }: Member): boolean {
  return role === 'makes' || role === 'sums';
}

type Sums = Map<Value, Map<number, Float64Array>>;

/** Reads each weight once, for all of its axes. */
async function positionSums(
  members: readonly Member[],
  power: (weight: number) => number,
): Promise<Sums> {
  const sums: Sums = new Map();
  for (const { value, axis, size } of members) {
    const axes = sums.get(value) ?? new Map<number, Float64Array>();
    sums.set(value, axes);
    if (!axes.has(axis)) axes.set(axis, new Float64Array(size));
  }
  for (const [value, axes] of sums) {
    const numbers = await numbersOf(value);
    if (!numbers) {
      sums.delete(value);
      continue;
    }
    for (const [axis, result] of axes) addAlong(numbers, value, axis, power, result);
  }
  return sums;
}

function addAlong(
  numbers: Numbers,
  value: Value,
  axis: number,
  power: (weight: number) => number,
  result: Float64Array,
): void {
  const size = result.length;
  const inner = elementCount((value.shape ?? []).slice(axis + 1) as number[]);
  for (let at = 0, row = 0; at < numbers.length; row++) {
    let sum = 0;
    for (const end = at + inner; at < end; at++) sum += power(numbers[at] as number);
    const i = row % size;
    result[i] = (result[i] as number) + sum;
  }
}

/** The scale of the BatchNormalization a channel goes through; groups without one by their norm. */
async function byBatchNorm(
  groups: readonly Group[],
  context: ImportanceContext,
): Promise<Float64Array[]> {
  const isScale = ({ value }: Member) =>
    value.uses.some(({ node, index }) => node.op === 'BatchNormalization' && index === 1);
  const scales = groups.flatMap(({ weights }) => weights.filter(isScale));
  const sums = await positionSums(scales, Math.abs);
  const scores: PositionScores = (member) =>
    isScale(member) ? sums.get(member.value)?.get(member.axis) : undefined;
  const byScale = fromPositions(groups, scores, context.reduction);
  const others = await byNorm(groups, context, (w) => w * w, Math.sqrt);
  return groups.map(
    ({ weights }, i) => (weights.some(isScale) ? byScale[i] : others[i]) as Float64Array,
  );
}
