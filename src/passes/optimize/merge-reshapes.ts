// Reshape, Flatten, Squeeze and Unsqueeze only rename axes: a chain of them is one Reshape.

import { isStatic, type Node, type Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { fuse, intsOf, producer, removeDead } from '../match.ts';
import { type RewriteContext, rewrite } from '../pass.ts';
import { reshapeTarget } from '../reshape-target.ts';

const RENAMES = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'];

export default rewrite({
  name: 'merge-reshapes',
  summary: 'Makes one Reshape of a chain of Reshape, Flatten, Squeeze and Unsqueeze',
  on: RENAMES,
  apply(node, context) {
    const inner = producer(node.input(0), ...RENAMES);
    const source = inner?.input(0);
    if (!inner || !source || context.opset < 5) return undefined;
    if (node.op === 'Reshape' && saysAll(node)) {
      node.setInput(0, source);
      if (inner.graph === context.graph) removeDead(context.graph, [inner]);
      return true;
    }
    return replace(node, inner, source, context);
  },
});

/** Whether the target of a Reshape does not depend on the shape that comes in, only on its size. */
function saysAll(node: Node): boolean {
  const target = intsOf(node, 'shape', 1);
  return target?.every((size) => size !== 0) ?? false;
}

function replace(node: Node, inner: Node, source: Value, context: RewriteContext) {
  const { g } = context;
  const { shape } = node.output;
  const target = source.shape && shape && reshapeTarget(source.shape, shape);
  if (!target) return undefined;
  const sizes = g.constant(`${node.output.name}_shape`, Tensor.int64(target));
  if (node.op === 'Reshape' && !(isStatic(shape) && shape.includes(0))) {
    node.setInput(1, sizes);
    node.setAttr('allowzero', undefined);
    node.setInput(0, source);
    if (inner.graph === context.graph) removeDead(context.graph, [inner]);
    return true;
  }
  const by = g.op('Reshape', [source, sizes], {}, { name: node.name || undefined });
  return fuse(context, [node, inner], node.output, by);
}
