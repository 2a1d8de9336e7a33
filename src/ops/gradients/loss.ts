// Gradients of the losses over classes. Scores [N, C, d1 …], labels [N, d1 …]: what comes back per
// label, times the class weight, at the place of the label (ONNX specification).

import type { Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { type GradientContext, gradients, UnknownShape } from '../gradient.ts';

type C = GradientContext;

interface Judged {
  /** 1 at the class of each label, [N, C, d1 …]. */
  readonly chosen: Value;
  /** What one unit of each label's loss weighs in what comes back, [N, 1, d1 …]. */
  readonly share: Value;
}

function judge(c: C): Judged {
  const [scores, labels] = [c.x(0), c.x(1)];
  const classes = c.staticShape(scores)?.[1];
  if (classes === undefined) throw new UnknownShape(scores);
  if (c.wants(2)) c.unsupported(`${c.node.op} by its class weights`);
  const column = c.op('Unsqueeze', [labels, c.ints([1])]);
  const aligned = [1, classes, ...new Array<number>(c.rank(scores) - 2).fill(1)];
  const numbers = Tensor.int64(Array.from({ length: classes }, (_, i) => i)).reshape(aligned);
  const numbered = c.op('CastLike', [c.g.constant('classes', numbers), labels]);
  const chosen = c.mask(c.op('Equal', [column, numbered]), scores);
  const weight = weightOf(c, column, chosen);
  const reduction = c.node.string('reduction', 'mean');
  if (reduction === 'none') {
    return { chosen, share: c.mul(weight, c.op('Unsqueeze', [c.dy(), c.ints([1])])) };
  }
  const single =
    reduction === 'mean' ? c.div(c.dy(), c.op('ReduceSum', [weight], { keepdims: 0 })) : c.dy();
  return { chosen, share: c.mul(weight, single) };
}

/** The class weight of each label, 0 for those to ignore. */
function weightOf(c: C, column: Value, chosen: Value): Value {
  const rank = c.rank(chosen);
  const others = Array.from({ length: rank - 2 }, (_, i) => i + 2);
  const perClass = c.has(2) ? c.op('Unsqueeze', [c.x(2), c.ints([0, ...others])]) : undefined;
  const weight = c.reduceSum(perClass ? c.mul(chosen, perClass) : chosen, [1], true);
  const ignored = c.node.int('ignore_index');
  if (ignored === undefined) return weight;
  const isIgnored = c.op('Equal', [column, c.scalar(ignored, column)]);
  return c.op('Where', [isIgnored, c.scalar(0, weight), weight]);
}

gradients({
  NegativeLogLikelihoodLoss: (c) => {
    const { chosen, share } = judge(c);
    return [c.neg(c.mul(chosen, share)), undefined, undefined];
  },
  // Σ over classes of the first part is 0; log_prob, if read, sends back what LogSoftmax would.
  SoftmaxCrossEntropyLoss: (c) => {
    const { chosen, share } = judge(c);
    const isRead = c.flows(1);
    const logs = isRead ? c.y(1) : c.op('LogSoftmax', [c.x(0)], { axis: 1 });
    const probability = c.op('Exp', [logs]);
    const dx = c.mul(c.sub(probability, chosen), share);
    if (!isRead) return [dx, undefined, undefined];
    const total = c.reduceSum(c.dy(1), [1], true);
    return [c.add(dx, c.sub(c.dy(1), c.mul(probability, total))), undefined, undefined];
  },
});
