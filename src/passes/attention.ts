// Scaled dot-product attention (Vaswani et al., arXiv:1706.03762) as exporters write it:
// softmax(q k^T * scale + mask) v on [B, H, S, D], with the heads split from and merged into
// [B, S, H D] by Reshape and Transpose. This file finds it; `fuse-attention` writes the operator.

import { type Node, type Shape, sameDim, type Value } from '../graph/index.ts';
import { knownElements } from '../ops/index.ts';
import {
  isClosed,
  isSingleOrHalf,
  numbers,
  onlyReader,
  operands,
  producer,
  scalar,
  withScalar,
} from './match.ts';

/** One of q, k, v: heads first, heads second, or flat, as far as each form is there. */
export interface Heads {
  /** [B, H, S, D] */
  readonly first?: Value | undefined;
  /** [B, S, H, D] */
  readonly second?: Value | undefined;
  /** [B, S, H D] */
  readonly flat?: Value | undefined;
  /** [B, H, S, D] */
  readonly shape: Shape;
  /** Nodes on the way that may die. */
  readonly feeders: readonly Node[];
}

export interface Mask {
  /** Added to the scores; or the condition under which `fill` replaces them. */
  readonly value: Value;
  readonly fill?: number;
  /** Whether scores stay where the condition holds. */
  readonly keeps?: boolean;
}

export interface Attention {
  readonly q: Heads;
  readonly k: Heads;
  readonly v: Heads;
  readonly scale: number;
  readonly mask: Mask | undefined;
  readonly heads: number;
  /** Everything between q, k, v and the result. */
  readonly matched: Set<Node>;
  /** [B, H, Sq, Dv] */
  readonly output: Value;
  /** [B, Sq, H, Dv], where the heads are moved back and only that is read. */
  readonly moved: Value | undefined;
  /** What reshapes `moved`, if that is all that reads it. */
  readonly merge: Node | undefined;
}

/** The attention whose second product this MatMul is; a text says why it is not one after all. */
export function attentionAt(node: Node): Attention | string | undefined {
  const softmax = producer(node.input(0), 'Softmax');
  const [, value] = node.inputs;
  const found = softmax && scoresOf(softmax);
  if (!softmax || !found || !value) return undefined;
  const q = headsOf(found.q);
  const k = keysOf(found.k);
  const v = headsOf(value);
  if (!q || !k || !v) return 'the shapes of q, k and v are not known';
  if (!isSingleOrHalf(found.q)) return 'it is neither float32 nor float16';
  const heads = headCount(q.shape, k.shape, v.shape);
  if (heads === undefined) return 'batch, heads or head size of q, k and v are not provably equal';
  const matched = new Set([node, softmax, ...found.nodes]);
  if (!isClosed(matched, node.output)) return 'a step of it is read elsewhere';
  const scale = found.scale * q.scale * k.scale * v.scale;
  if (v.scale !== 1) return 'v is scaled';
  return {
    q,
    k,
    v,
    scale,
    mask: found.mask,
    heads,
    matched,
    output: node.output,
    ...mergeOf(node),
  };
}

interface Scores {
  readonly q: Value;
  readonly k: Value;
  readonly scale: number;
  readonly mask: Mask | undefined;
  readonly nodes: Set<Node>;
}

/** What stands before the Softmax: product, scale and mask. */
function scoresOf(softmax: Node): Scores | undefined {
  const input = softmax.input(0);
  const axis = softmax.int('axis', -1);
  if (!input || (axis !== -1 && axis !== 3)) return undefined;
  const plain = productOf(input);
  if (plain) return { ...plain, mask: undefined };
  const add = producer(input, 'Add');
  for (const [scores, value] of add ? operands(add) : []) {
    const product = productOf(scores);
    if (add && product) return { ...product, mask: { value }, nodes: product.nodes.add(add) };
  }
  return chosen(input);
}

/** Where(condition, fill, scores) or the other way round. */
function chosen(input: Value): Scores | undefined {
  const where = producer(input, 'Where');
  const [condition, yes, no] = where?.inputs ?? [];
  if (!where || !condition || !yes || !no) return undefined;
  const keeps = scalar(no) !== undefined;
  const fill = scalar(keeps ? no : yes);
  const product = productOf(keeps ? yes : no);
  if (fill === undefined || !product) return undefined;
  const isFar = fill <= -1e9 || (fill <= -1e3 && everyRowKeeps(condition, keeps));
  if (!isFar) return undefined;
  return { ...product, mask: { value: condition, fill, keeps }, nodes: product.nodes.add(where) };
}

/** Whether no row of a constant condition masks everything. */
function everyRowKeeps(condition: Value, keeps: boolean): boolean {
  const flags = numbers(condition);
  const length = condition.shape?.at(-1);
  if (!flags || typeof length !== 'number') return false;
  for (let start = 0; start < flags.length; start += length) {
    const row = flags.slice(start, start + length);
    if (!row.some((flag) => (flag !== 0) === keeps)) return false;
  }
  return true;
}

/** MatMul(q, k^T), scaled. */
function productOf(value: Value): Omit<Scores, 'mask'> | undefined {
  const nodes = new Set<Node>();
  const [inner, scale] = unscaled(value, nodes);
  const matmul = producer(inner, 'MatMul');
  const [q, k] = matmul?.inputs ?? [];
  return matmul && q && k ? { q, k, scale, nodes: nodes.add(matmul) } : undefined;
}

/** Strips factors from a value. */
function unscaled(value: Value, nodes: { add(node: Node): unknown }): [Value, number] {
  let inner = value;
  let scale = 1;
  for (;;) {
    const product = withScalar(inner, 'Mul');
    const quotient = product ? undefined : withScalar(inner, 'Div');
    const step = product ?? quotient;
    if (!step) return [inner, scale];
    scale *= product ? step.scalar : 1 / step.scalar;
    nodes.add(step.node);
    inner = step.x;
  }
}

type Scaled = Heads & { readonly scale: number };

/** q or v: [B, H, S, D]. */
function headsOf(value: Value): Scaled | undefined {
  const feeders = new Set<Node>();
  const [first, outer] = unscaled(value, feeders);
  const { shape } = first;
  if (shape?.length !== 4) return undefined;
  const move = transposeOf(first, '0,2,1,3');
  if (!move) return { first, shape, scale: outer, feeders: [...feeders] };
  feeders.add(move.node);
  const [second, inner] = unscaled(move.x, feeders);
  return {
    first: inner === 1 ? first : undefined,
    ...split(second, shape, feeders),
    scale: outer * inner,
  };
}

/** k^T: [B, H, D, S]. */
function keysOf(value: Value): Scaled | undefined {
  const feeders = new Set<Node>();
  const [turned, outer] = unscaled(value, feeders);
  const turnedShape = turned.shape;
  if (turnedShape?.length !== 4) return undefined;
  const swap = transposeOf(turned, '0,1,3,2');
  if (swap) {
    feeders.add(swap.node);
    const heads = headsOf(swap.x);
    return (
      heads && { ...heads, scale: heads.scale * outer, feeders: [...feeders, ...heads.feeders] }
    );
  }
  const move = transposeOf(turned, '0,2,3,1');
  if (!move) return undefined;
  feeders.add(move.node);
  const [b, h, d, s] = turnedShape;
  if (b === undefined || h === undefined || d === undefined || s === undefined) return undefined;
  const [second, inner] = unscaled(move.x, feeders);
  return { ...split(second, [b, h, s, d], feeders), scale: outer * inner };
}

function split(second: Value, shape: Shape, feeders: Set<Node>): Omit<Heads, 'first'> {
  const reshape = producer(second, 'Reshape');
  const flat = reshape?.input(0);
  const [b, h, s, d] = shape;
  const from = flat?.shape;
  const isFlat =
    from?.length === 3 &&
    typeof h === 'number' &&
    typeof d === 'number' &&
    from[2] === h * d &&
    same(from[0], b) &&
    same(from[1], s);
  if (reshape && isFlat) feeders.add(reshape);
  return { second, flat: isFlat ? flat : undefined, shape, feeders: [...feeders] };
}

function transposeOf(value: Value, perm: string): { node: Node; x: Value } | undefined {
  const node = producer(value, 'Transpose');
  const x = node?.input(0);
  return node && x && node.ints('perm')?.join() === perm ? { node, x } : undefined;
}

function same(a: Shape[number] | undefined, b: Shape[number] | undefined): boolean {
  return a !== undefined && b !== undefined && sameDim(a, b);
}

/** H, when q [B, H, Sq, D], k [B, H, Sk, D] and v [B, H, Sk, Dv] fit without broadcasting. */
function headCount(q: Shape, k: Shape, v: Shape): number | undefined {
  const heads = q[1];
  const fits =
    same(q[0], k[0]) &&
    same(q[0], v[0]) &&
    same(q[1], k[1]) &&
    same(q[1], v[1]) &&
    same(q[3], k[3]) &&
    same(k[2], v[2]) &&
    typeof q[3] === 'number' &&
    typeof v[3] === 'number';
  return fits && typeof heads === 'number' ? heads : undefined;
}

/** How the result goes on: heads moved back, then reshaped. */
function mergeOf(node: Node): Pick<Attention, 'moved' | 'merge'> {
  const reader = onlyReader(node.output);
  const move = reader && transposeOf(reader.output, '0,2,1,3');
  if (!move) return { moved: undefined, merge: undefined };
  const after = onlyReader(move.node.output);
  const merge = after && producer(after.output, 'Reshape');
  // A zero in the shape copies a size: that of B and S is the same in [B, S, H Dv].
  const shape = merge?.input(1);
  const target = shape && knownElements(shape);
  const isPlain = merge && after === merge && target?.every((dim, i) => dim !== 0 || i < 2);
  return { moved: move.node.output, merge: isPlain ? merge : undefined };
}
