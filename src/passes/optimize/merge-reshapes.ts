// Reshape, Flatten, Squeeze and Unsqueeze only rename axes: a chain of them is one Reshape.

import type { Node, Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { fuse, onlyUse, producer } from '../match.ts';
import { isFunctionBody, rewrite } from '../pass.ts';
import { reshapeTarget } from '../reshape-target.ts';

const RENAMES = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'];

export default rewrite({
  name: 'merge-reshapes',
  summary: 'Makes one Reshape of a chain of Reshape, Flatten, Squeeze and Unsqueeze',
  on: RENAMES,
  apply(node, context) {
    const { model, graph, g, opset } = context;
    const inner = producer(node.input(0), ...RENAMES);
    if (!inner || inner.graph !== graph || opset < 5) return undefined;
    if (!onlyUse(inner.output) || isFunctionBody(model, graph)) return undefined;
    const source = inner.input(0);
    const target = source && targetOf(source, node);
    if (!target) return undefined;
    const shape = g.constant(`${node.output.name}_shape`, Tensor.int64(target));
    return fuse(context, [node, inner], node.output, g.op('Reshape', [source, shape]));
  },
});

function targetOf(source: Value, node: Node): number[] | undefined {
  const { shape } = node.output;
  return source.shape && shape && reshapeTarget(source.shape, shape);
}
