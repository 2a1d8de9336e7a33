// GPTQ (Frantar et al. 2022) over the layers of a model: what feeds each of them is observed in the
// float model, some layers at a time, and their weights are rounded with feedback at once. Weights
// whose inputs nobody can observe, and those that serve as tables too, are left to others.

import type { Model } from '../../graph/index.ts';
import type { Feedback } from '../../tensor/feedback.ts';
import { factorInPool } from '../../threads/pool.ts';
import type { Calibration, QuantizeContext } from './context.ts';
import { type Gram, inGroups, type Observed, observeGrams } from './gram.ts';
import type { Choice } from './weights-plan.ts';

/** Of the mean of the diagonal of X^T X, as in the paper. */
const DAMPING = 0.01;
/** X^T X and its factors take 20 bytes per element. */
const MAX_WIDTH = 8192;

export type Share = readonly Choice[];

/** What feeds the nodes that share a weight; a text says why nobody can see it. */
export function feedsOf(model: Model, share: Share): Observed[] | string {
  const observed: Observed[] = [];
  for (const { weighted } of share) {
    const { node, kind, matrix, graph } = weighted;
    const value = node.input(0);
    if (kind === 'gather') return 'its weight serves as a table, too';
    if (kind !== 'matmul' && kind !== 'gemm') return 'it is no product of matrices';
    if (graph !== model.graph || !value) return 'what feeds it is inside of a branch or a function';
    if (matrix.width > MAX_WIDTH) return `it has more than ${MAX_WIDTH} inputs`;
    observed.push({ value, node, width: matrix.width });
  }
  return observed;
}

/** Calls `visit` with what each weight needs to be rounded with feedback, one after the other. */
export async function eachFeedback(
  model: Model,
  shares: readonly Share[],
  calibration: Calibration,
  context: QuantizeContext,
  visit: (share: Share, feedback: Feedback) => Promise<void>,
): Promise<void> {
  const seen = (share: Share) => {
    const feeds = feedsOf(model, share);
    return typeof feeds === 'string' ? [] : feeds;
  };
  for (const group of inGroups(shares, seen)) {
    const grams = await observeGrams(model, group.flatMap(seen), calibration, context);
    // Layers that read the same value share its factors, too.
    const known = new Map<string, Promise<Feedback>>();
    for (const share of group) {
      const values = [...new Set(seen(share).map(({ value }) => value))];
      const key = values.map(({ name }) => name).join('\n');
      const parts = values.flatMap((value) => grams.get(value) ?? []);
      const feedback = known.get(key) ?? factor(parts);
      known.clear();
      known.set(key, feedback);
      await visit(share, await feedback);
    }
  }
}

function factor(grams: readonly Gram[]): Promise<Feedback> {
  const [first, ...others] = grams as [Gram, ...Gram[]];
  const gram = others.length > 0 ? first.matrix.slice() : first.matrix;
  for (const { matrix } of others) {
    for (let i = 0; i < gram.length; i++) gram[i] = (gram[i] as number) + (matrix[i] as number);
  }
  return factorInPool({ gram, width: first.width, damping: DAMPING, byPower: false });
}
