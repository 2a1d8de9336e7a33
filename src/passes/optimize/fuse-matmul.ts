// A product of stacks of matrices with its transposed operands and a constant factor, in one node:
// com.microsoft.FusedMatMul. In two dimensions the standard Gemm does it (`fuse-gemm`).

import { attr, type Node, type Value } from '../../graph/index.ts';
import { permOf } from '../layout.ts';
import {
  constant,
  fuse,
  isOutput,
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
    const product = node.op === 'MatMul' ? node : matmulBefore(node);
    if (!product) return undefined;
    const [a, b] = product.inputs;
    const rank = product.output.shape?.length;
    if (!a || !b || rank === undefined || rank < 3 || !isSingleOrHalf(a)) return undefined;
    const [left, transA] = untransposed(a);
    const [right, transB] = untransposed(b);
    const factor = node === product ? 1 : (withScalar(node.output, node.op)?.scalar ?? 1);
    if (!transA && !transB && node === product) return undefined;
    // A constant factor belongs into a constant weight: `fuse-scale`.
    if (node !== product && (constant(a) || constant(b))) return undefined;
    return write(node, product, [left, right], { transA, transB }, factor, context);
  },
});

function matmulBefore(node: Node): Node | undefined {
  const scaled = withScalar(node.output, node.op);
  const product = producer(scaled?.x, 'MatMul');
  return product && !isOutput(product.output) && onlyReader(product.output) === node
    ? product
    : undefined;
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
  { transA, transB }: { transA: boolean; transB: boolean },
  factor: number,
  context: RewriteContext,
): boolean {
  const { g, graph, model } = context;
  importDomain(model, graph, 'com.microsoft', 1);
  const attrs = {
    alpha: attr.float(node.op === 'Div' ? 1 / factor : factor),
    transA: transA ? 1 : undefined,
    transB: transB ? 1 : undefined,
  };
  const options = { domain: 'com.microsoft', name: product.name || undefined };
  const by = g.op('FusedMatMul', inputs, attrs, options);
  const feeders = product.inputs.flatMap((v) => v?.producer ?? []);
  if (!fuse(context, [node, product], node.output, by)) return false;
  removeDead(
    graph,
    feeders.filter((feeder) => feeder.op === 'Transpose'),
  );
  return true;
}
