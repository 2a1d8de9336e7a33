// Shape computations collapse: what inference knows about the elements of an integer tensor becomes a
// constant, and a Reshape whose target is symbolic becomes one that copies (0) and infers (-1).

import { type Dim, isStatic, type Node, type Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { type RewriteContext, rewrite } from '../pass.ts';
import { reshapeTarget } from '../reshape-target.ts';

export default rewrite({
  name: 'fold-shapes',
  summary: 'Replaces computed shapes and indices that are known by constants',
  on: '*',
  apply(node, context) {
    if (node.domain === '' && node.op === 'Reshape' && fixTarget(node, context)) return true;
    let changed = false;
    for (const output of node.outputs) changed = foldKnown(node, output, context) || changed;
    return changed;
  },
});

/** A value whose elements are all numbers needs no node. */
function foldKnown(node: Node, value: Value, { graph }: RewriteContext): boolean {
  const { known, dtype, shape } = value;
  if (!known || !shape || !isStatic(shape) || node.op === 'Constant') return false;
  if (dtype !== 'int64' && dtype !== 'int32' && dtype !== 'bool') return false;
  if (value.uses.length === 0 || graph.outputs.includes(value)) return false;
  // "To the end" is written as the largest integer, which a number cannot hold.
  if (!known.every(Number.isSafeInteger) || !areNumbers(known)) return false;
  const data = Tensor.of(dtype, shape, known);
  graph.replace(value, graph.addInitializer(`${value.name}_known`, data));
  return true;
}

function fixTarget(node: Node, { opset, g }: RewriteContext): boolean {
  const [x, target] = node.inputs;
  if (opset < 5 || !x?.shape || !target?.producer || node.int('allowzero', 0) !== 0) return false;
  // The shape it makes, not the target: a -1 or 0 in that is resolved.
  const to = node.output.shape;
  if (!to || areNumbers(to) || constantData(target)) return false;
  const fixed = reshapeTarget(x.shape, to);
  if (!fixed) return false;
  node.setInput(1, g.constant(`${node.output.name || node.name}_shape`, Tensor.int64(fixed)));
  return true;
}

function areNumbers(dims: readonly Dim[]): dims is readonly number[] {
  return dims.every((dim) => typeof dim === 'number');
}
