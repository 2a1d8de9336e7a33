// Vectors as one: a node costs what some thousand elements cost, and the biases and norms of a deep network
// would be updated by hundreds of nodes.

import type { Value } from '../graph/index.ts';
import type { Formula } from './formula.ts';
import type { Optimizer, OptimizerSettings } from './optimizers.ts';

/** Fewer are not worth joining. */
const MANY = 3;
/** Longer ones gain nothing. */
const LONGEST = 4096;

const isShort = ({ shape }: Value) => shape?.length === 1 && Number(shape[0]) <= LONGEST;

/** The members that are joined, by what they have to share; the others, one by one. */
export function groupsOf<T extends { readonly parameter: Value }>(
  members: readonly T[],
  shared: (member: T) => string | undefined,
): T[][] {
  const groups = new Map<string, T[]>();
  members.forEach((member, i) => {
    const key = isShort(member.parameter) ? shared(member) : undefined;
    const name = key ?? `alone ${i}`;
    groups.set(name, [...(groups.get(name) ?? []), member]);
  });
  return [...groups.values()].flatMap((group) =>
    group.length < MANY ? group.map((member) => [member]) : [group],
  );
}

interface Update {
  readonly parameters: readonly Value[];
  readonly gradients: readonly Value[];
  /** By parameter. */
  readonly slots: readonly (readonly Value[])[];
  readonly rate: Value;
  readonly decay: number;
  readonly count: Value;
}

/** One update of all; the results in the order of the parameters. */
export function updateTogether(
  f: Formula,
  optimizer: Optimizer,
  settings: OptimizerSettings,
  { parameters, gradients, slots, ...rest }: Update,
): { parameters: Value[]; slots: Value[][] } {
  const columns = optimizer.slots.map((_, j) => slots.map((row) => row[j] as Value));
  const all = optimizer.update(
    f,
    {
      parameter: joined(f, parameters),
      gradient: joined(f, gradients),
      slots: columns.map((column) => joined(f, column)),
      ...rest,
    },
    settings,
  );
  const moved = all.slots.map((slot) => parted(f, slot, parameters));
  return {
    parameters: parted(f, all.parameter, parameters),
    slots: parameters.map((_, i) => moved.map((column) => column[i] as Value)),
  };
}

/** One vector after the other. */
function joined(f: Formula, vectors: readonly Value[]): Value {
  return f.op('Concat', vectors, { axis: 0 });
}

/** Undoes `joined`: pieces as long as those of `like`. */
function parted(f: Formula, all: Value, like: readonly Value[]): Value[] {
  const lengths = f.ints(like.map(({ shape }) => Number(shape?.[0])));
  return f.g.ops('Split', [all, lengths], like.length, { axis: 0 });
}
