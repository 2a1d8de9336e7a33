// What an architecture is: a name, the sizes it takes with their published defaults, and a function
// that builds it.

import { badFlagValue, usageProblem } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';

/** Everything any architecture lets one choose; each takes some of these. */
export interface Choices {
  /** One sample, without the batch: [channels, height, width], or [features]. */
  in: readonly number[];
  classes: number;
  /** Sizes of hidden layers; where there is one size, the first. */
  hidden: readonly number[];
  layers: number;
  heads: number;
  vocab: number;
  /** Longest sequence (number of learned positions). */
  seq: number;
  patch: number;
  /** Channels of the first layer, or a factor on all of them. */
  width: number;
  mlpDim: number;
  /** Share of the elements behind embeddings and layers that training drops. */
  dropout: number;
  head: string;
  bidirectional: boolean;
}

export interface Architecture {
  readonly name: string;
  readonly summary: string;
  /** Defaults of what it takes; a choice that is not here does not apply. */
  readonly defaults: Readonly<Partial<Choices>>;
  /** What else it takes. */
  readonly optional: readonly (keyof Choices)[];
  /** Throws a usage error for choices that do not apply or do not fit together. */
  build(choices: Readonly<Partial<Choices>>, seed: number): Model;
}

interface Recipe<T> {
  readonly name: string;
  readonly summary: string;
  readonly defaults: Readonly<T>;
  /** Names of choices that have no default. */
  readonly optional?: readonly (keyof Choices)[];
  build(choices: Readonly<T & Partial<Choices>>, seed: number): Model;
}

/** An architecture from its recipe, with the checks that all share. */
export function architecture<T extends Partial<Choices>>(recipe: Recipe<T>): Architecture {
  const takes = new Set([...Object.keys(recipe.defaults), ...(recipe.optional ?? [])]);
  return {
    name: recipe.name,
    summary: recipe.summary,
    defaults: recipe.defaults,
    optional: recipe.optional ?? [],
    build(choices, seed) {
      const given = Object.entries(choices).filter(([, value]) => value !== undefined);
      for (const [key, value] of given) {
        if (!takes.has(key)) throw doesNotApply(recipe.name, key, [...takes]);
        checkSizes(key, value);
      }
      return recipe.build({ ...recipe.defaults, ...Object.fromEntries(given) }, seed);
    },
  };
}

/** `mlpDim` as it is typed: `mlp-dim`. */
export function flagOf(choice: string): string {
  return choice.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function doesNotApply(name: string, choice: string, takes: readonly string[]) {
  const list = takes.map((key) => `--${flagOf(key)}`).join(', ');
  return usageProblem(`${name} has no --${flagOf(choice)}`, `It takes ${list}.`);
}

function checkSizes(choice: string, value: unknown): void {
  for (const size of [value].flat()) {
    if (typeof size !== 'number') continue;
    if (choice === 'dropout') {
      if (size < 0 || size >= 1) throw badFlagValue(choice, String(value), 'a number from 0 to 1');
      continue;
    }
    const isFactor = choice === 'width';
    if (!(size > 0) || !(isFactor || Number.isSafeInteger(size))) {
      throw badFlagValue(
        flagOf(choice),
        String(value),
        isFactor ? 'a positive number' : 'whole numbers above 0',
      );
    }
  }
}

/** The size of one sample [channels, height, width]. */
export function imageOf(size: readonly number[]): readonly [number, number, number] {
  const [channels, height, width] = size;
  if (size.length !== 3 || !channels || !height || !width) {
    throw badFlagValue('in', size.join('x'), 'channels, height and width, as in --in 3x224x224');
  }
  return [channels, height, width];
}

/** One of the words a choice knows. */
export function oneOf(choice: string, value: string, words: readonly string[]): string {
  if (words.includes(value)) return value;
  throw badFlagValue(flagOf(choice), value, `one of ${words.join(', ')}`);
}

/** The only number of a list that may have one. */
export function single(choice: string, values: readonly number[]): number {
  const [value] = values;
  if (value === undefined || values.length > 1) {
    throw badFlagValue(flagOf(choice), values.join(','), 'one number');
  }
  return value;
}

/** Heads share the hidden size equally. */
export function checkHeads(hidden: number, heads: number): void {
  if (hidden % heads === 0) return;
  throw usageProblem(
    `a hidden size of ${hidden} cannot be shared by ${heads} heads`,
    'Give a --hidden that is a multiple of --heads.',
  );
}
