// Softmax: exp(x - max x) / sum exp(x - max x) over one axis, the subtraction left out or not.

import type { Node, Value } from '../../graph/index.ts';
import { fuse, intsOf, isClosed, isSingleOrHalf, normalAxes, producer } from '../match.ts';
import { rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-softmax',
  summary: 'Makes one Softmax of Exp / ReduceSum(Exp)',
  on: 'Div',
  apply(node, context) {
    const [numerator, sum] = node.inputs;
    const exp = producer(numerator, 'Exp');
    const total = producer(sum, 'ReduceSum');
    const argument = exp?.input(0);
    if (!exp || !total || !argument || total.input(0) !== numerator) return undefined;
    const rank = argument.shape?.length;
    const axis = oneAxis(total, rank);
    if (rank === undefined || axis === undefined || !isSingleOrHalf(argument)) return undefined;
    // Until opset 13 Softmax took all axes from `axis` on as one.
    if (context.opset < 13 && axis !== rank - 1)
      return skip('Softmax over a middle axis needs opset 13');
    const matched = new Set([node, exp, total]);
    const x = shifted(argument, axis, rank, matched);
    if (!isClosed(matched, node.output)) return skip('a step of it is read elsewhere');
    return fuse(context, matched, node.output, context.g.op('Softmax', [x], { axis }));
  },
});

/** x of x - max(x); the value itself where nothing is subtracted. */
function shifted(argument: Value, axis: number, rank: number, matched: Set<Node>): Value {
  const sub = producer(argument, 'Sub');
  const x = sub?.input(0);
  const max = producer(sub?.input(1), 'ReduceMax');
  if (!sub || !x || max?.input(0) !== x || oneAxis(max, rank) !== axis) return argument;
  matched.add(sub).add(max);
  return x;
}

/** The one axis a reduction works on, if it keeps it. */
function oneAxis(node: Node, rank: number | undefined): number | undefined {
  const axes = intsOf(node, 'axes', 1);
  if (!axes || rank === undefined || axes.length !== 1 || node.int('keepdims', 1) === 0)
    return undefined;
  return normalAxes(axes, rank)[0];
}
