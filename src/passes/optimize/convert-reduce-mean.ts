// The mean over all spatial axes of what convolutions made is GlobalAveragePool: runtimes that block
// the channels of convolutions know it in that layout, and quantisers know it at all. Elsewhere
// ReduceMean is the faster one in onnxruntime.

import type { Node, Value } from '../../graph/index.ts';
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
    if (!comesFromConv(x)) return undefined;
    const options = { name: node.name || undefined };
    return fuse(context, [node], node.output, context.g.op('GlobalAveragePool', [x], {}, options));
  },
});

/** Whether a convolution is found going up through operators that keep its layout. */
function comesFromConv(x: Value): boolean {
  let value: Value | undefined = x;
  for (let steps = 0; value?.producer && steps < 8; steps++) {
    const { op, domain }: Node = value.producer;
    if (domain !== '') return false;
    if (op === 'Conv') return true;
    if (!KEEPING.has(op)) return false;
    value = value.producer.input(0);
  }
  return false;
}

const KEEPING = new Set(
  `Add AveragePool BatchNormalization Clip Concat Dropout Elu HardSigmoid HardSwish LeakyRelu MaxPool
  Mish Mul PRelu Relu Sigmoid Sum Swish Tanh`.split(/\s+/),
);
