// HardSigmoid: max(0, min(1, alpha x + beta)), written as Clip(x + 3, 0, 6) / 6 or as
// Clip(alpha x + beta, 0, 1).

import { attr, type Node } from '../../graph/index.ts';
import {
  clipBounds,
  fuse,
  isClosed,
  isNear,
  isSingleOrHalf,
  onlyReader,
  producer,
  withScalar,
} from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'fuse-hard-sigmoid',
  summary: 'Makes one HardSigmoid of Clip(x + 3, 0, 6) / 6 and of Clip(a x + b, 0, 1)',
  on: 'Clip',
  apply(node, context) {
    const bounds = clipBounds(node);
    const sum = withScalar(node.input(0), 'Add');
    if (bounds?.min !== 0 || !(bounds.max > 0) || !sum || context.opset < 6) return undefined;
    const product = withScalar(sum.x, 'Mul') ?? withScalar(sum.x, 'Div');
    const divided = bounds.max === 1 ? undefined : divisionAfter(node);
    // The division by the upper bound is what makes the result end at 1.
    if (bounds.max !== 1 && !(divided && isNear(divided.by, bounds.max, node.output)))
      return undefined;
    const slope = product ? (product.node.op === 'Div' ? 1 / product.scalar : product.scalar) : 1;
    const last = divided?.node ?? node;
    const all = new Set<Node>([node, last, sum.node, ...(product ? [product.node] : [])]);
    const closed = product && isClosed(all, last.output);
    const matched = closed || !product ? all : new Set([...all].filter((n) => n !== product.node));
    const x = closed ? product.x : sum.x;
    if (!isSingleOrHalf(x) || !isClosed(matched, last.output)) return undefined;
    const { g } = context;
    g.at = last;
    const alpha = attr.float((closed ? slope : 1) / bounds.max);
    const by = g.op('HardSigmoid', [x], { alpha, beta: attr.float(sum.scalar / bounds.max) });
    return fuse(context, matched, last.output, by);
  },
});

function divisionAfter(node: Node): { node: Node; by: number } | undefined {
  const reader = onlyReader(node.output);
  if (reader === undefined || !producer(reader.output, 'Mul', 'Div')) return undefined;
  const found = withScalar(reader.output, reader.op);
  if (!found || found.x !== node.output) return undefined;
  return { node: reader, by: reader.op === 'Div' ? found.scalar : 1 / found.scalar };
}
