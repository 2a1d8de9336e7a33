// Fused operators opened for training: each is replaced by the standard operators it stands for, which
// have gradients. One opening per operator, in the family files of `open/`; the model that is written
// in the end keeps its fused nodes, since only its weights are replaced.

import { noGradientOfForm } from '../errors/train.ts';
import { allGraphs, type Model, type Node } from '../graph/index.ts';
import { activations } from './open/activation.ts';
import { attentions } from './open/attention.ts';
import { norms } from './open/norm.ts';
import { Openable, type Opening, UnknownForm } from './open/openable.ts';
import { products } from './open/product.ts';
import { regions } from './open/roi.ts';
import { rotaries } from './open/rotary.ts';

const OPENINGS: ReadonlyMap<string, Opening> = new Map(
  [activations, attentions, norms, products, regions, rotaries].flatMap((family) =>
    Object.entries(family),
  ),
);

/** Operators that are opened, as `domain:op`. */
export function openedOps(): string[] {
  return [...OPENINGS.keys()];
}

/**
 * Opens the fused operators of all graphs, in place. Types must be inferred and sizes fixed. Throws for
 * a form of an operator that its opening does not know, naming node and form.
 */
export function openFused(model: Model): void {
  for (const graph of [...allGraphs(model)]) {
    for (const node of graph.nodes) {
      const opening = OPENINGS.get(`${node.domain}:${node.op}`);
      if (opening) open(model, node, opening);
    }
  }
}

function open(model: Model, node: Node, opening: Opening): void {
  const graph = node.graph ?? model.graph;
  const o = new Openable(model, node);
  const made = formOf(node, () => opening(o));
  for (const [i, output] of node.outputs.entries()) {
    if (!o.isRead(i)) continue;
    const by = made[i];
    if (!by) throw noGradientOfForm(node, `${node.op} whose output ${i} is read`);
    // An input or a weight that passes through cannot take the name of an output.
    graph.replace(output, graph.canReplace(output, by) ? by : o.f.op('Identity', [by]));
  }
  graph.remove(node);
}

function formOf<T>(node: Node, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof UnknownForm) throw noGradientOfForm(node, error.message);
    throw error;
  }
}
