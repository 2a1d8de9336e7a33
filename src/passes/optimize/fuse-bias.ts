// A constant per output channel that is added to a linear operator becomes its bias:
// (W x + b) + t = W x + (b + t).

import { absorb, feedsOnly, linearBefore, perChannel, refusal } from '../linear.ts';
import { constant, fuse, operands } from '../match.ts';
import { rewrite, skip } from '../pass.ts';

export default rewrite({
  name: 'fuse-bias',
  summary: 'Folds Add and Sub of constants into the bias of Conv, ConvTranspose and Gemm',
  on: ['Add', 'Sub'],
  apply(node, context) {
    for (const [x, term] of operands(node)) {
      const linear = linearBefore(x);
      if (!linear || linear.node.op === 'MatMul' || !constant(term)) continue;
      if (!feedsOnly(linear, node)) {
        return skip(`"${linear.node.output.name}" is read elsewhere too`);
      }
      const terms = perChannel(linear, term);
      if (!terms) return skip('the constant is not one per channel');
      // c - (W x + b) turns the weight around; x stands second then.
      const negated = node.op === 'Sub' && node.input(1) === x;
      const shift = node.op === 'Sub' && !negated ? terms.map((t) => -t) : terms;
      const scale = negated ? new Float64Array(linear.channels).fill(-1) : undefined;
      const reason = refusal(linear, { scale, shift });
      if (reason) return skip(reason);
      if (!context.graph.canReplace(node.output, linear.node.output)) return false;
      absorb(context, linear, { scale, shift });
      return fuse(context, [node], node.output, linear.node.output);
    }
    return undefined;
  },
});
