// The mean over all spatial axes is GlobalAveragePool, which is what runtimes are tuned for.

import { fuse, intsOf, isSingleOrHalf, normalAxes, producer } from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'convert-reduce-mean',
  summary: 'Turns ReduceMean over the spatial axes into GlobalAveragePool',
  on: 'ReduceMean',
  apply(node, context) {
    const [x] = node.inputs;
    const axes = intsOf(node, 'axes', 1);
    const rank = x?.shape?.length;
    if (!x || !axes || rank === undefined || rank < 4 || rank > 5 || !isSingleOrHalf(x))
      return undefined;
    if (node.int('keepdims', 1) === 0 || axes.length !== rank - 2) return undefined;
    if (!normalAxes(axes, rank).every((axis, i) => axis === i + 2)) return undefined;
    // Statistics of a normalisation are looked for as they are.
    if (producer(x, 'Mul', 'Pow') || node.output.uses.some((use) => use.node.op === 'Sub'))
      return undefined;
    const options = { name: node.name || undefined };
    return fuse(context, [node], node.output, context.g.op('GlobalAveragePool', [x], {}, options));
  },
});
