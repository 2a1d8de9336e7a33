// From scores and amounts to units: the least important go, of each group its share (scope `layer`) or
// of all together (scope `global`), with rounding and with something left of every group.

import type { Choice } from './cut.ts';
import type { Group } from './group.ts';

export interface Scored {
  readonly group: Group;
  /** One for each unit; the lowest go first. Comparable between groups for scope `global`. */
  readonly scores: ArrayLike<number>;
}

export type Scope = 'layer' | 'global';

export interface ChooseOptions {
  readonly scope: Scope;
  /** Share of the units that goes, 0 to 1; of a group, where it says its own. */
  readonly amount: number;
  readonly amountOf?: ((group: Group) => number | undefined) | undefined;
  /** Channels left of each group are a multiple of this, where they can be. */
  readonly roundTo: number;
  /** Units left of each group, at least. */
  readonly minimum: number;
  /** Share of units left of each group, at least; keeps a global ranking from closing a layer. */
  readonly keep: number;
}

export const CHOOSE_DEFAULTS = { scope: 'layer', roundTo: 1, minimum: 1, keep: 0 } as const;

/** Channels that one unit of a group stands for: 64 for a head of 64 values. */
export function channelsPerUnit({ weights }: Group): number {
  const maker = weights.find(({ role }) => role === 'makes') ?? weights[0];
  return maker?.positions[0]?.length ?? 1;
}

export function chooseUnits(scored: readonly Scored[], options: ChooseOptions): Choice[] {
  const own = (group: Group) => options.amountOf?.(group);
  const isRanked = ({ group }: Scored) => options.scope === 'global' && own(group) === undefined;
  const counts = rankedCounts(scored.filter(isRanked), options);
  return scored.map(({ group, scores }) => {
    const share = own(group) ?? options.amount;
    const wanted = counts.get(group) ?? group.units * share;
    return { group, units: lowest(scores, removable(group, wanted, options)) };
  });
}

/** How many units of each group a ranking of all of them takes. */
function rankedCounts(scored: readonly Scored[], options: ChooseOptions): Map<Group, number> {
  const counts = new Map<Group, number>(scored.map(({ group }) => [group, 0]));
  const ranked = scored.flatMap(({ group, scores }) => {
    const channels = channelsPerUnit(group);
    return Array.from({ length: group.units }, (_, i) => ({
      group,
      score: scores[i] as number,
      channels,
    }));
  });
  ranked.sort((a, b) => a.score - b.score || a.group.id - b.group.id);
  let left = options.amount * ranked.reduce((sum, { channels }) => sum + channels, 0);
  for (const { group, channels } of ranked) {
    if (left <= 0) break;
    const count = (counts.get(group) as number) + 1;
    if (count > group.units - leastLeft(group, options)) continue;
    counts.set(group, count);
    left -= channels;
  }
  return counts;
}

function leastLeft({ units }: Group, { minimum, keep }: ChooseOptions): number {
  return Math.min(units, Math.max(1, minimum, Math.ceil(units * keep - 1e-9)));
}

/** The number of units that go: as many as are wanted, so that what is left is round. */
function removable(group: Group, wanted: number, options: ChooseOptions): number {
  const { units } = group;
  const left = Math.max(units - Math.round(wanted), leastLeft(group, options));
  if (left >= units || Math.round(wanted) === 0) return 0;
  const step = roundStep(channelsPerUnit(group), options.roundTo);
  const rounded = Math.max(Math.round(left / step) * step, step);
  const least = Math.ceil(leastLeft(group, options) / step) * step;
  return Math.max(0, units - Math.max(rounded, least));
}

/** The least number of units whose channels are a multiple of `roundTo`. */
function roundStep(channels: number, roundTo: number): number {
  return roundTo / greatestCommonDivisor(channels, roundTo);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The units with the lowest scores, ascending; of equal ones the last. */
function lowest(scores: ArrayLike<number>, count: number): number[] {
  const order = Array.from(scores, (_, i) => i);
  order.sort((a, b) => (scores[a] as number) - (scores[b] as number) || b - a);
  return order.slice(0, count).sort((a, b) => a - b);
}
