// Structured pruning, from groups to the model that is left: which groups take part, how important
// their units are, how many of each go, and the cut. `channel`, `head`, `neuron` and `hidden` are the
// same but for the kinds of groups that take part.

import {
  badAmount,
  leavesNothing,
  nothingToPrune,
  targetOutOfReach,
  targetUnknown,
} from '../../errors/prune.ts';
import type { Model, Node } from '../../graph/index.ts';
import type { Runner } from '../pass.ts';
import type { Pattern } from '../select.ts';
import { CHOOSE_DEFAULTS, chooseUnits, type Scope, type Scored } from './choose.ts';
import { type Choice, CutFailure } from './cut.ts';
import { type Frozen, findGroups, type Group, type Kind } from './group.ts';
import {
  type Criterion,
  type CriterionName,
  criterionNamed,
  type Normalization,
  normalized,
  type Reduction,
} from './importance.ts';
import { cutCopy } from './translate.ts';
import { reshare, unshare } from './unshare.ts';

/** What a search for an amount measures: the share of it that is to be left. */
export interface Target {
  readonly name: string;
  readonly left: number;
  cost(model: Model): number | Promise<number>;
}

/** The amount of the groups whose makers a pattern names. */
export interface Amount {
  readonly pattern: Pattern;
  readonly amount: number;
}

export interface ChannelOptions {
  /** Share of the units that goes; ignored where a target is given. */
  readonly amount?: number | undefined;
  /** For groups by name; the first pattern that fits counts. */
  readonly amounts?: readonly Amount[] | undefined;
  /** For groups by what a scan says of them, given the amount of all; patterns go first. */
  readonly amountOf?: ((group: Group, amount: number) => number | undefined) | undefined;
  readonly target?: Target | undefined;
  readonly scope?: Scope | undefined;
  readonly roundTo?: number | undefined;
  readonly minimum?: number | undefined;
  /** Whether an amount that would take all units of a group is an error; otherwise one of them stays. */
  readonly refusesEmpty?: boolean | undefined;
  /** Share of the units left of each group, at least: 0.1 in a global ranking. */
  readonly keep?: number | undefined;
  readonly skip?: readonly Pattern[] | undefined;
  readonly only?: readonly Pattern[] | undefined;
  /** Which groups take part; all where it is absent. */
  readonly takes?: ((group: Group) => boolean) | undefined;
  readonly criterion?: CriterionName | Criterion | undefined;
  readonly reduction?: Reduction | undefined;
  readonly normalization?: Normalization | undefined;
  readonly seed?: number | undefined;
}

export interface ChannelContext {
  readonly run?: Runner | undefined;
  /** Told of each attempt of a search. */
  progress?(amount: number, left: number): void;
}

/** The reason of groups that took part, and of which nothing went. */
export const NOT_TAKEN = 'the amount takes none of it';

/** What became of a group. */
export interface Outcome {
  readonly group: Group;
  readonly before: number;
  readonly after: number;
  /** Why it stayed as it was. */
  readonly reason?: string | undefined;
}

export interface ChannelResult {
  readonly model: Model;
  readonly outcomes: readonly Outcome[];
  readonly frozen: readonly Frozen[];
  readonly choices: readonly Choice[];
  /** The amount that met the target, or that was given. */
  readonly amount: number;
}

/** The filter for methods that are about one kind. */
export function takesKinds(...kinds: readonly Kind[]): (group: Group) => boolean {
  return ({ kind }) => kinds.includes(kind);
}

/** Prunes a copy; groups and outcomes refer to another copy of the model as it was. */
export async function pruneChannels(
  given: Model,
  options: ChannelOptions,
  context: ChannelContext = {},
): Promise<ChannelResult> {
  const model = given.clone();
  const chosen = await chooseChannels(model, options, context);
  const pruned = cutCopy(model, chosen.choices);
  reshare(pruned);
  return { ...chosen, model: pruned };
}

/** Says what would go; the model only gets a copy of each vector for each of its readers. */
export async function chooseChannels(
  model: Model,
  options: ChannelOptions,
  context: ChannelContext = {},
): Promise<Omit<ChannelResult, 'model'>> {
  checkAmounts(options);
  unshare(model);
  const { groups, frozen } = findGroups(model);
  const reasons = new Map<Group, string>();
  const candidates = groups.filter((group) => {
    const reason = whyNot(group, options);
    if (reason) reasons.set(group, reason);
    return !reason;
  });
  const open = sound(model, candidates, reasons);
  if (open.length === 0) throw nothingToPrune(model.path ?? '', 'channels', reasonsOf(frozen));
  if (options.refusesEmpty) refuseEmpty(open, options);
  const scored = await scoreGroups(open, options, context);
  const choose = (amount: number) => chooseUnits(scored, settings(options, amount));
  const amount = options.target
    ? await search(model, options.target, choose, context)
    : (options.amount ?? 0.5);
  const choices = choose(amount).filter(({ units }) => units.length > 0);
  return {
    outcomes: groups.map((group) => outcomeOf(group, choices, reasons.get(group))),
    frozen,
    choices,
    amount,
  };
}

/** Scores of the units of each group, as one ranking where the scope is global. */
export async function scoreGroups(
  groups: readonly Group[],
  options: ChannelOptions,
  context: ChannelContext = {},
): Promise<Scored[]> {
  const given = options.criterion ?? 'l2';
  const criterion = typeof given === 'string' ? criterionNamed(given) : given;
  const scores = await criterion(groups, {
    seed: options.seed ?? 0,
    reduction: options.reduction ?? 'mean',
    run: context.run,
  });
  const how = options.normalization ?? (given === 'lamp' ? 'lamp' : 'mean');
  return groups.map((group, i) => ({ group, scores: normalized(scores[i] as Float64Array, how) }));
}

function settings(options: ChannelOptions, amount: number) {
  const scope = options.scope ?? CHOOSE_DEFAULTS.scope;
  const makes = (group: Group, pattern: Pattern) => makersOf(group).some((n) => pattern.matches(n));
  return {
    scope,
    amount,
    amountOf: (group: Group) =>
      options.amounts?.find(({ pattern }) => makes(group, pattern))?.amount ??
      options.amountOf?.(group, amount),
    roundTo: options.roundTo ?? CHOOSE_DEFAULTS.roundTo,
    minimum: options.minimum ?? CHOOSE_DEFAULTS.minimum,
    keep: options.keep ?? (scope === 'global' ? 0.1 : CHOOSE_DEFAULTS.keep),
  };
}

/** Groups of one unit have none to choose from: they stay. */
function refuseEmpty(groups: readonly Group[], options: ChannelOptions): void {
  const { amount, amountOf } = settings(options, options.amount ?? 0);
  const shareOf = (group: Group) => amountOf(group) ?? amount;
  const emptied = groups.filter(
    (group) => group.units > 1 && Math.round(group.units * shareOf(group)) >= group.units,
  );
  const [first] = emptied.sort((a, b) => a.units - b.units);
  if (first) throw leavesNothing(first.name, first.units, shareOf(first), emptied.length - 1);
}

function makersOf({ makers, layers }: Group): readonly Node[] {
  return makers.length > 0 ? makers : layers;
}

function checkAmounts({ amount, amounts }: ChannelOptions): void {
  const isAmount = (value: number) => value >= 0 && value < 1;
  if (amount !== undefined && !isAmount(amount)) throw badAmount('--amount', amount);
  for (const { pattern, amount: own } of amounts ?? []) {
    if (!isAmount(own)) throw badAmount(`"${pattern.text}"`, own);
  }
}

function whyNot(group: Group, { skip, only, takes }: ChannelOptions): string | undefined {
  if (takes && !takes(group)) return `--method ${group.kind} is about it`;
  const nodes = makersOf(group);
  const found = skip?.find((pattern) => nodes.some((node) => pattern.matches(node)));
  if (found) return `--skip ${found.text}`;
  const isNamed = only?.some((pattern) => nodes.some((node) => pattern.matches(node))) ?? true;
  return isNamed ? undefined : 'not named by --only';
}

/** Groups whose cut shapes can follow, to half and to the last unit; where all cannot, each alone. */
function sound(model: Model, groups: readonly Group[], reasons: Map<Group, string>): Group[] {
  const cut = (count: (units: number) => number) => (group: Group) => ({
    group,
    units: Array.from({ length: count(group.units) }, (_, i) => i),
  });
  const cuts = [cut((units) => Math.floor(units / 2)), cut((units) => units - 1)];
  if (cuts.every((make) => failureOf(model, groups.map(make)) === undefined)) return [...groups];
  return groups.filter((group) => {
    const failures = cuts.map((make) => failureOf(model, [make(group)]));
    const failure = failures.find((text) => text !== undefined);
    if (failure) reasons.set(group, failure);
    return !failure;
  });
}

function failureOf(model: Model, choices: readonly Choice[]): string | undefined {
  try {
    cutCopy(model, choices);
    return undefined;
  } catch (error) {
    if (error instanceof CutFailure) return error.message;
    throw error;
  }
}

const STEPS = 12;

/** The least amount that meets the target, by bisection. */
async function search(
  model: Model,
  target: Target,
  choose: (amount: number) => Choice[],
  { progress }: ChannelContext,
): Promise<number> {
  const whole = await target.cost(model);
  if (!(whole > 0)) throw targetUnknown(target.name);
  const left = async (amount: number) => {
    const share = (await target.cost(cutCopy(model, choose(amount)))) / whole;
    progress?.(amount, share);
    return share;
  };
  let [low, high] = [0, 1];
  const least = await left(high);
  if (least > target.left) throw targetOutOfReach(target.name, target.left, least);
  for (let i = 0; i < STEPS; i++) {
    const middle = (low + high) / 2;
    if ((await left(middle)) > target.left) low = middle;
    else high = middle;
  }
  return high;
}

function outcomeOf(group: Group, choices: readonly Choice[], reason: string | undefined): Outcome {
  const gone = choices.find((choice) => choice.group === group)?.units.length ?? 0;
  const unchanged = gone === 0 ? (reason ?? NOT_TAKEN) : undefined;
  return { group, before: group.units, after: group.units - gone, reason: unchanged };
}

function reasonsOf(frozen: readonly Frozen[]): string[] {
  return [...new Set(frozen.map(({ reason }) => reason))];
}
