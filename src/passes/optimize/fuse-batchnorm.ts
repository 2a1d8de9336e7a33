// BatchNormalization in inference is one scale and one shift per channel:
// y = (x - mean) / sqrt(var + epsilon) * gamma + beta. It disappears into the linear operator
// before it, or after it.

import type { Node } from '../../graph/index.ts';
import { type Normalization, normalization } from '../batchnorm.ts';
import { absorb, feedsOnly, type Linear, linearBefore, refusal } from '../linear.ts';
import { absorbBefore, consumerOf } from '../linear-input.ts';
import { fuse } from '../match.ts';
import { type RewriteContext, rewrite, type Skip, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-batchnorm',
  summary: 'Folds BatchNormalization into the Conv, ConvTranspose, Gemm or MatMul beside it',
  on: 'BatchNormalization',
  apply(node, context) {
    const linear = linearBefore(node.input(0));
    const before = linear ? intoProducer(node, linear, context) : undefined;
    if (before === true) return true;
    return intoConsumer(node, context) ?? before;
  },
});

function intoProducer(node: Node, linear: Linear, context: RewriteContext): boolean | Skip {
  // BatchNormalization works on axis 1, which is the channels of MatMul in two dimensions only.
  if (linear.axis !== 1) return skip(`${linear.node.describe()} has its channels on another axis`);
  if (!feedsOnly(linear, node)) return skip(`"${linear.node.output.name}" is read elsewhere too`);
  const found = normalization(node, context.opset);
  if ('skip' in found) return found;
  if (found.scale.length !== linear.channels) return skip('its statistics are not per channel');
  if (linear.node.op === 'MatMul') return intoMatMul(node, linear, found, context);
  const reason = refusal(linear, found);
  if (reason) return skip(reason);
  absorb(context, linear, found);
  return fuse(context, [node], node.output, linear.node.output);
}

function intoConsumer(node: Node, context: RewriteContext): boolean | Skip | undefined {
  const [x] = node.inputs;
  const consumer = consumerOf(node.output);
  if (!x || !consumer) return undefined;
  const found = normalization(node, context.opset);
  if ('skip' in found) return found;
  const reason = absorbBefore(context, consumer, found);
  if (reason) return skip(reason);
  return fuse(context, [node], node.output, x);
}

/** MatMul has no bias: it becomes a Gemm. */
function intoMatMul(
  node: Node,
  linear: Linear,
  { scale, shift }: Normalization,
  context: RewriteContext,
): boolean | Skip {
  const [a] = linear.node.inputs;
  if (a?.shape?.length !== 2 || linear.weight.shape?.length !== 2) return skip('it is no matrix');
  const reason = refusal(linear, { scale });
  if (reason) return skip(reason);
  const { g } = context;
  const zero = g.op('Gemm', [a, linear.weight], {}, { name: linear.node.name || undefined });
  const gemm = linearBefore(zero);
  if (!gemm) return false;
  if (!fuse(context, [node, linear.node], node.output, zero)) return false;
  absorb(context, gemm, { scale, shift });
  return true;
}
