// A product of stacks of matrices with its transposed operands and a constant factor, in one node:
// com.microsoft.FusedMatMul. In two dimensions the standard Gemm does it (`fuse-gemm`).

import { type Attrs, attr, type Node, type Value } from '../../graph/index.ts';
import { permOf } from '../layout.ts';
import {
  constant,
  fuse,
  isSingleOrHalf,
  onlyReader,
  producer,
  removeDead,
  withScalar,
} from '../match.ts';
import { importDomain, type RewriteContext, rewrite } from '../pass.ts';

export default rewrite({
  name: 'fuse-matmul',
  summary: 'Makes one com.microsoft.FusedMatMul of Transpose, MatMul and a factor',
  level: 'extended',
  on: ['MatMul', 'Mul', 'Div'],
  apply(node, context) {
    if (node.op !== 'MatMul') return factor(node, context);
    const [a, b] = node.inputs;
    const rank = node.output.shape?.length;
    if (!a || !b || rank === undefined || rank < 3 || !isSingleOrHalf(a)) return undefined;
    const [left, transA] = untransposed(a);
    const [right, transB] = untransposed(b);
    if (!transA && !transB) return undefined;
    const attrs = { transA: transA ? 1 : undefined, transB: transB ? 1 : undefined };
    return write(node, node, [left, right], attrs, context);
  },
});

/** A factor after a product of computed operands; that of a constant one belongs to `fuse-scale`. */
function factor(node: Node, context: RewriteContext): boolean | undefined {
  const scaled = withScalar(node.output, node.op);
  const product = scaled?.x.producer;
  if (!scaled || !product || onlyReader(scaled.x) !== node) return undefined;
  const isPlain = product.domain === '' && product.op === 'MatMul';
  const isFused = product.domain === 'com.microsoft' && product.op === 'FusedMatMul';
  const [a, b] = product.inputs;
  const rank = product.output.shape?.length ?? 0;
  if ((!isPlain && !isFused) || !a || !b || rank < 3 || !isSingleOrHalf(a)) return undefined;
  if (constant(a) || constant(b)) return undefined;
  const times = node.op === 'Div' ? 1 / scaled.scalar : scaled.scalar;
  const alpha = attr.float(product.float('alpha', 1) * times);
  return write(node, product, [a, b], { ...Object.fromEntries(product.attrs), alpha }, context);
}

/** What a swap of the last two axes was made from. */
function untransposed(value: Value): [Value, boolean] {
  const node = producer(value, 'Transpose');
  const x = node?.input(0);
  const perm = node && permOf(node);
  if (!node || !x || !perm || perm.length < 2 || onlyReader(value) === undefined)
    return [value, false];
  const last = perm.length - 1;
  const swaps = perm.every(
    (axis, i) => axis === (i === last ? last - 1 : i === last - 1 ? last : i),
  );
  return swaps ? [x, true] : [value, false];
}

function write(
  node: Node,
  product: Node,
  inputs: Value[],
  attrs: Attrs,
  context: RewriteContext,
): boolean {
  const { g, graph, model } = context;
  importDomain(model, graph, 'com.microsoft', 1);
  const options = { domain: 'com.microsoft', name: product.name || undefined };
  const by = g.op('FusedMatMul', inputs, attrs, options);
  const feeders = product.inputs.flatMap((value) => producer(value, 'Transpose') ?? []);
  if (!fuse(context, [node, product], node.output, by)) return false;
  removeDead(graph, feeders);
  return true;
}
