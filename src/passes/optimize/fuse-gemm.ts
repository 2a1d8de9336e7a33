// A product of matrices and what is done to its result in one node: A B + C, a transposed operand, a
// constant factor. Gemm pays in two dimensions only; elsewhere MatMul stays.

import { attr, type Dim, type Node, type Shape, sameDim, type Value } from '../../graph/index.ts';
import { fuse, onlyReader, operands, producer, removeDead, withScalar } from '../match.ts';
import { type RewriteContext, rewrite, type Skip, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-gemm',
  summary:
    'Makes one Gemm of MatMul with Add, with a Transpose before it, or with a factor after it',
  on: ['Add', 'Mul', 'MatMul', 'Gemm'],
  apply(node, context) {
    // Before opset 7 broadcasting was an attribute.
    if (context.opset < 7) return undefined;
    if (node.op === 'Add') return addition(node, context);
    if (node.op === 'Mul') return factor(node, context);
    return transposition(node, context);
  },
});

/** MatMul + C, or a Gemm without C + C. */
function addition(node: Node, context: RewriteContext): boolean | Skip | undefined {
  for (const [product, c] of operands(node)) {
    const matmul = producer(product, 'MatMul', 'Gemm');
    const [a, b, own] = matmul?.inputs ?? [];
    if (!matmul || !a || !b || own || onlyReader(product) !== node) continue;
    if (a.shape?.length !== 2 || b.shape?.length !== 2) continue;
    if (!isCalculableType(a)) continue;
    if (producer(b, 'DequantizeLinear')) return skip('it is quantized');
    if (!fits(c.shape, product.shape)) return skip('C is wider than the product');
    const attrs = { alpha: matmul.float('alpha'), ...transposes(matmul) };
    const { name } = matmul;
    const sum = context.g.op('Gemm', [a, b, c], floats(attrs), { name: name || undefined });
    return fuse(context, [node, matmul], node.output, sum);
  }
  return undefined;
}

/** (A B) * alpha. A factor that goes into a constant B is `fuse-scale`'s. */
function factor(node: Node, context: RewriteContext): boolean | undefined {
  const scaled = withScalar(node.output, 'Mul');
  const product = scaled && producer(scaled.x, 'MatMul', 'Gemm');
  const [a, b, c] = product?.inputs ?? [];
  if (!scaled || !product || !a || !b || c || onlyReader(scaled.x) !== node) return undefined;
  if (context.opset < 11 || a.shape?.length !== 2 || b.shape?.length !== 2) return undefined;
  if (!isCalculableType(a)) return undefined;
  const alpha = product.float('alpha', 1) * scaled.scalar;
  const by = context.g.op('Gemm', [a, b], floats({ alpha, ...transposes(product) }));
  return fuse(context, [node, product], node.output, by);
}

/** A transposed operand. */
function transposition(node: Node, context: RewriteContext): boolean | undefined {
  const index = [0, 1].find((i) => {
    const transpose = producer(node.input(i), 'Transpose');
    return transpose?.input(0)?.shape?.length === 2 && isSwap(transpose);
  });
  if (index === undefined || !isCalculableType(node.input(0))) return undefined;
  const transpose = node.input(index)?.producer;
  const x = transpose?.input(0);
  if (!transpose || !x) return undefined;
  if (node.op === 'MatMul') return toGemm(node, index, x, transpose, context);
  const name = index === 0 ? 'transA' : 'transB';
  node.setInput(index, x);
  node.setAttr(name, attr.int(node.int(name, 0) ? 0 : 1));
  removeDead(context.graph, [transpose]);
  return true;
}

function toGemm(
  node: Node,
  index: number,
  x: Value,
  transpose: Node,
  context: RewriteContext,
): boolean | undefined {
  // Before opset 11 a Gemm must have C; a MatMul that gets an Add becomes one first.
  const other = node.input(1 - index);
  if (context.opset < 11 || !other || other.shape?.length !== 2) return undefined;
  if (onlyReader(transpose.output) !== node) return undefined;
  const inputs = index === 0 ? [x, other] : [other, x];
  const attrs = { transA: index === 0 ? 1 : undefined, transB: index === 1 ? 1 : undefined };
  const by = context.g.op('Gemm', inputs, attrs, { name: node.name || undefined });
  return fuse(context, [node, transpose], node.output, by);
}

function isSwap(transpose: Node): boolean {
  const perm = transpose.ints('perm');
  return perm === undefined || perm.join() === '1,0';
}

function transposes(node: Node) {
  if (node.op !== 'Gemm') return {};
  return { transA: node.int('transA') || undefined, transB: node.int('transB') || undefined };
}

function floats({
  alpha,
  ...rest
}: {
  alpha?: number | undefined;
  transA?: number | undefined;
  transB?: number | undefined;
}) {
  return { ...rest, alpha: alpha === undefined || alpha === 1 ? undefined : attr.float(alpha) };
}

/** Gemm takes floats and, from opset 9, integers of 32 and 64 bits that nobody uses. */
function isCalculableType(value: Value | undefined): boolean {
  return ['float32', 'float16', 'float64', 'bfloat16'].includes(value?.dtype ?? '');
}

/** Whether C broadcasts to [M, N] one way: it must not be the wider one. */
function fits(c: Shape | undefined, product: Shape | undefined): boolean {
  if (!c || !product || c.length > 2) return false;
  return c.every((dim: Dim, i) => {
    const into = product[i + 2 - c.length];
    return dim === 1 || (into !== undefined && sameDim(dim, into));
  });
}
