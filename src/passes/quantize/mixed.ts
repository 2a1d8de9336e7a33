// The choice of a precision for every layer: each costs bytes (or time) and error, and the sum of one
// is to be small while the other is limited. For a price λ on the cost every layer takes the precision
// with the least error + λ · cost (Everett 1963, generalised Lagrange multipliers); λ is searched.

import type { Precision } from './context.ts';

export interface Choice {
  readonly precision: Precision;
  /** 1 - fidelity of the model of which only this layer has this precision. */
  readonly error: number;
  /** Bytes or milliseconds. */
  readonly cost: number;
}

export type ChoicesByLayer = ReadonlyMap<string, readonly Choice[]>;

/** The best choice of every layer at a price. */
export function chooseAt(price: number, layers: ChoicesByLayer): Map<string, Choice> {
  const chosen = new Map<string, Choice>();
  for (const [layer, choices] of layers) {
    let best: Choice | undefined;
    for (const choice of choices) {
      if (!best || loss(choice, price) < loss(best, price)) best = choice;
    }
    if (best) chosen.set(layer, best);
  }
  return chosen;
}

function loss({ error, cost }: Choice, price: number): number {
  return error + price * cost;
}

/**
 * Prices at which a layer changes its mind, rising; between two of them nothing changes, so that these
 * and 0 are all the models there are to try.
 */
export function prices(layers: ChoicesByLayer): number[] {
  const found = new Set<number>([0]);
  for (const choices of layers.values()) {
    for (const a of choices) {
      for (const b of choices) {
        const price = (b.error - a.error) / (a.cost - b.cost);
        if (a.cost > b.cost && price > 0 && Number.isFinite(price)) found.add(price * (1 + 1e-9));
      }
    }
  }
  return [...found].sort((a, b) => a - b);
}

/**
 * The first price, or the last, for which a test holds, where it holds from some price on (cost falls
 * with the price) or up to some price (error rises with it). Undefined where it never holds.
 */
export async function searchPrice<T>(
  list: readonly number[],
  side: 'first' | 'last',
  attempt: (price: number) => Promise<{ readonly holds: boolean; readonly result: T }>,
): Promise<{ price: number; result: T } | undefined> {
  let low = 0;
  let high = list.length - 1;
  let best: { price: number; result: T } | undefined;
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const price = list[middle] ?? 0;
    const { holds, result } = await attempt(price);
    if (holds) best = { price, result };
    const goesLower = side === 'first' ? holds : !holds;
    if (goesLower) high = middle - 1;
    else low = middle + 1;
  }
  return best;
}
