// Which input (output) of one model is which of the other: by name, what is left by position.

import { inputsDiffer } from '../errors/verify.ts';
import type { Model, Value } from '../graph/index.ts';
import { printType } from '../graph/index.ts';
import { canCastTo, cast } from '../tensor/cast.ts';
import type { Feeds } from '../tensor/feeds.ts';
import type { Tensor } from '../tensor/tensor.ts';

export type ValuePair = readonly [expected: Value, actual: Value];

export interface PortMatch {
  readonly pairs: readonly ValuePair[];
  /** Without a counterpart in the other model. */
  readonly onlyExpected: readonly Value[];
  readonly onlyActual: readonly Value[];
}

/** Pairs in the order of `expected`. */
export function matchPorts(expected: readonly Value[], actual: readonly Value[]): PortMatch {
  const byName = new Map(actual.map((value) => [value.name, value]));
  const counterpart = new Map<Value, Value>();
  for (const value of expected) {
    const same = byName.get(value.name);
    if (same) counterpart.set(value, same);
  }
  const taken = new Set(counterpart.values());
  const free = actual.filter((value) => !taken.has(value));
  for (const value of expected) {
    if (counterpart.has(value)) continue;
    const next = free.shift();
    if (next) counterpart.set(value, next);
  }
  return {
    pairs: expected.flatMap((value) => {
      const other = counterpart.get(value);
      return other ? [[value, other] as const] : [];
    }),
    onlyExpected: expected.filter((value) => !counterpart.has(value)),
    onlyActual: free,
  };
}

/** Feeds for the first model turned into feeds for the second: names and widths may differ. */
export type Translation = (feeds: Feeds) => Feeds;

/** Throws where the two models do not take the same inputs. */
export function translateFeeds(expected: Model, actual: Model): Translation {
  const [left, right] = [fedInputs(expected), fedInputs(actual)];
  const match = matchPorts(left, right);
  const fitting = match.pairs.every(([a, b]) => isTranslatable(a, b));
  if (!fitting || match.onlyExpected.length > 0 || match.onlyActual.length > 0) {
    const list = (values: readonly Value[]) =>
      values.map((value) => `"${value.name}" ${printType(value.type)}`);
    throw inputsDiffer([expected.path ?? 'A', list(left)], [actual.path ?? 'B', list(right)]);
  }
  return (feeds) => {
    const translated = new Map<string, Tensor>();
    for (const [a, b] of match.pairs) {
      const tensor = feeds.get(a.name);
      if (tensor) translated.set(b.name, cast(tensor, b.dtype ?? tensor.dtype));
    }
    return translated;
  };
}

/** Inputs without a default value. */
function fedInputs(model: Model): Value[] {
  return model.graph.inputs.filter((value) => !value.data);
}

function isTranslatable(a: Value, b: Value): boolean {
  if (a.type?.kind !== b.type?.kind || a.shape?.length !== b.shape?.length) {
    return a.shape === undefined || b.shape === undefined;
  }
  if (a.dtype === b.dtype || !a.dtype || !b.dtype) return true;
  return canCastTo(a.dtype) && canCastTo(b.dtype);
}
