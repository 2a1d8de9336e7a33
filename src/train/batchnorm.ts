// BatchNormalization while training: it normalises by the batch's own statistics, and its running
// averages are state that each step moves on.

import type { Model, Node, Value } from '../graph/index.ts';
import { inferNode } from '../ops/index.ts';
import type { Buffer } from './plan.ts';

/**
 * Puts the model's BatchNormalizations into training mode, in place, but for those that are frozen or
 * whose statistics are no initializers of their own. Returns the running averages.
 */
export function trainBatchNorms(model: Model, isFrozen: (node: Node) => boolean): Buffer[] {
  const buffers: Buffer[] = [];
  for (const node of model.graph.nodes) {
    if (node.op !== 'BatchNormalization' || node.domain !== '' || isFrozen(node)) continue;
    const [mean, variance] = [node.inputs[3], node.inputs[4]];
    if (!isOwn(mean) || !isOwn(variance)) continue;
    node.setAttr('training_mode', { type: 'int', value: 1 });
    const next = [1, 2].map((i) => node.demandOutput(i, model.graph.fresh(`${node.name}/running`)));
    inferNode(model, node);
    buffers.push(
      { value: mean, next: next[0] as Value },
      { value: variance, next: next[1] as Value },
    );
  }
  return buffers;
}

/** Read by one BatchNormalization and nobody else. */
function isOwn(value: Value | undefined): value is Value {
  return value?.data !== undefined && value.uses.length === 1;
}
