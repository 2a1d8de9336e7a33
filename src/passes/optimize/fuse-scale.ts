// A constant factor per output channel goes into the weight of the linear operator before it:
// (W x + b) * s = (W s) x + b s. Between them may stand the Add of a constant bias, and, for one
// factor for all, anything that only moves elements (Reshape, Transpose …).

import type { Node, Value } from '../../graph/index.ts';
import { floatTensor, isCalculable, scaleBlocks } from '../../tensor/scale.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { absorb, type Linear, linearBefore, perChannel, refusal, setConstant } from '../linear.ts';
import { constant, fuse, onlyReader, operands, producer, scalar } from '../match.ts';
import { type RewriteContext, rewrite, type Skip, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-scale',
  summary:
    'Folds Mul and Div by constants into the Conv, ConvTranspose, Gemm or MatMul before them',
  on: ['Mul', 'Div'],
  apply(node, context) {
    const found = factorOf(node);
    if (!found) return undefined;
    const path = pathUp(found.x, node);
    const linear = path && linearBefore(path.source);
    if (!path || !linear) return undefined;
    if (onlyReader(linear.node.output) !== (path.last ?? node)) {
      return skip(`"${linear.node.output.name}" is read elsewhere too`);
    }
    const scale = scaleOf(linear, node, found, path.moves);
    if (!scale) return skip('the factor is not one per channel');
    return apply(node, found.x, linear, scale, path.add, context);
  },
});

interface Factor {
  readonly x: Value;
  readonly factor: Value;
}

function factorOf(node: Node): Factor | undefined {
  const orders = node.op === 'Mul' ? operands(node) : operands(node).slice(0, 1);
  for (const [x, factor] of orders) if (constant(factor) && !constant(x)) return { x, factor };
  return undefined;
}

interface Path {
  readonly source: Value;
  /** The reader of the source on the way down; undefined: the node itself. */
  readonly last: Node | undefined;
  /** The Add of a constant bias that is passed. */
  readonly add: Node | undefined;
  /** Whether elements move to other places on the way. */
  readonly moves: boolean;
}

const MOVERS = ['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity'];

/** The way up from a value, over steps that nothing else reads. */
function pathUp(value: Value, reader: Node): Path | undefined {
  let source = value;
  let last: Node | undefined;
  let add: Node | undefined;
  let moves = false;
  for (let below = reader; onlyReader(source) === below; ) {
    const step = producer(source, 'Add', ...MOVERS);
    if (!step || step.graph !== reader.graph || (step.op === 'Add' && add)) break;
    const bias =
      step.op === 'Add' ? operands(step).find(([x, c]) => constant(c) && !constant(x)) : undefined;
    if (step.op === 'Add' && !bias) break;
    if (step.op === 'Add') add = step;
    else moves = true;
    const next = bias ? bias[0] : step.input(0);
    if (!next) break;
    source = next;
    last = step;
    below = step;
  }
  return { source, last, add, moves };
}

function scaleOf(
  linear: Linear,
  node: Node,
  { x, factor }: Factor,
  moves: boolean,
): Float64Array | undefined {
  const invert = (s: number) => (node.op === 'Div' ? 1 / s : s);
  const all = scalar(factor);
  if (all !== undefined && (constant(factor)?.shape.length ?? 0) <= (x.shape?.length ?? 0)) {
    return new Float64Array(linear.channels).fill(invert(all));
  }
  return moves ? undefined : perChannel(linear, factor)?.map(invert);
}

function apply(
  node: Node,
  x: Value,
  linear: Linear,
  scale: Float64Array,
  add: Node | undefined,
  context: RewriteContext,
): boolean | Skip {
  if (!scale.every((s) => Number.isFinite(s))) return skip('the factor is not finite');
  const reason = refusal(linear, { scale });
  if (reason) return skip(reason);
  if (!context.graph.canReplace(node.output, x)) return false;
  if (add) {
    const [index, bias] = scaledBias(add, linear, scale);
    if (!bias) return skip(`the bias of ${add.describe()} is not one per channel`);
    setConstant(context, add, index, bias);
  }
  absorb(context, linear, { scale });
  return fuse(context, [node], node.output, x);
}

/** Which input of an Add is its constant, and that constant times the factors. */
function scaledBias(add: Node, linear: Linear, scale: Float64Array): [number, Tensor | undefined] {
  const index = constant(add.input(0)) ? 0 : 1;
  const terms = constant(add.input(index));
  if (!terms || !isCalculable(terms.dtype)) return [index, undefined];
  const factor = scale[0] as number;
  if (scale.every((s) => s === factor))
    return [index, scaleBlocks(terms, terms.size, () => factor)];
  const vector = perChannel(linear, add.input(index));
  const isLast = linear.axis === linear.rank - 1;
  if (!vector || !isLast) return [index, undefined];
  const scaled = vector.map((b, c) => b * (scale[c] as number));
  return [index, floatTensor(terms.dtype, [linear.channels], scaled)];
}
