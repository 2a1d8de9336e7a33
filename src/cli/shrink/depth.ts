// The depth of a student that is made from its teacher: some of the residual layers stay, evenly
// spaced, with their weights; the others are left out.

import type { Model } from '../../graph/index.ts';
import type { Runner } from '../../passes/pass.ts';
import { evenly, layersOf } from '../../passes/prune/depth.ts';
import { type Block, blockHeld, findBlocks } from '../../passes/prune/layer.ts';
import type { Pattern } from '../../passes/select.ts';
import type { PartOutcome } from '../prune/plan.ts';
import { withoutBlocks } from '../prune/weights.ts';

export interface Shallow {
  readonly model: Model;
  readonly parts: readonly PartOutcome[];
  /** Layers by the names of their blocks. */
  readonly kept: readonly string[];
  readonly dropped: readonly string[];
}

/**
 * Keeps the share `depth` of the layers, at least one. Layers that change shapes are no residual
 * blocks and stay; so does what a pattern skips.
 */
export async function shallow(
  given: Model,
  depth: number,
  skip: readonly Pattern[],
  run: Runner,
): Promise<Shallow> {
  const model = given.clone();
  const layers = layersOf(findBlocks(model));
  const why = (layer: readonly Block[]) =>
    layer.map((block) => blockHeld(model, block, skip, [])).find((reason) => reason !== undefined);
  const held = new Map(layers.map((layer) => [layer, why(layer)]));
  const open = layers.filter((layer) => held.get(layer) === undefined);
  const stay = new Set(evenly(open.length, Math.max(1, Math.round(depth * open.length))));
  const gone = new Set(open.filter((_, i) => !stay.has(i)));
  const parts = layers.map((layer): PartOutcome => {
    const before = layer.reduce((sum, { branch }) => sum + branch.size, 0);
    const isGone = gone.has(layer);
    const reason = held.get(layer) ?? 'one of those that stay';
    return {
      part: nameOf(layer),
      kind: 'nodes of a layer',
      before,
      after: isGone ? 0 : before,
      ...(isGone ? {} : { reason }),
    };
  });
  const names = (isGone: boolean) =>
    layers.filter((layer) => gone.has(layer) === isGone).map(nameOf);
  return {
    parts,
    kept: names(false),
    dropped: names(true),
    model: await withoutBlocks(model, [...gone].flat(), run),
  };
}

/** `h.0/Add`, `h.0/Add_2`: named like its nodes. */
function nameOf(layer: readonly Block[]): string {
  return layer.map(({ node }) => node.name || (node.outputs[0]?.name ?? '')).join(' + ');
}
