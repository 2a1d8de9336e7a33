// Imports every family, so that `lookup` knows all operators.

import './attention.ts';
import './contrib.ts';
import './contrib-attention.ts';
import './contrib-nchwc.ts';
import './contrib-norm.ts';
import './contrib-quant.ts';
import './control.ts';
import './conv.ts';
import './elementwise.ts';
import './gather.ts';
import './generate.ts';
import './gradients/activation.ts';
import './gradients/conv.ts';
import './gradients/einsum.ts';
import './gradients/elementwise.ts';
import './gradients/gather.ts';
import './gradients/loss.ts';
import './gradients/matmul.ts';
import './gradients/norm.ts';
import './gradients/pool.ts';
import './gradients/quant.ts';
import './gradients/recurrent.ts';
import './gradients/reduce.ts';
import './gradients/sampling.ts';
import './gradients/shape.ts';
import './gradients/signal.ts';
import './image.ts';
import './legacy.ts';
import './loss.ts';
import './matmul.ts';
import './ml.ts';
import './norm.ts';
import './pool.ts';
import './quant.ts';
import './random.ts';
import './reduce.ts';
import './resize.ts';
import './rnn.ts';
import './scan.ts';
import './sequence.ts';
import './shape.ts';
import './signal.ts';
import './slicing.ts';
import './text.ts';

export {
  type AxisKey,
  type AxisLink,
  type AxisPort,
  keyAt,
  Links,
  sizeOf,
  sizeWith,
  slotsOf,
} from './axes/link.ts';
export { type Kept, ResizeContext } from './axes/resize.ts';
export { constantData, type InferContext, knownElements } from './context.ts';
export { isElementwise } from './elementwise.ts';
export { bindAttributes, contextOf, inferNode, inferTypes } from './infer.ts';
export { allSpecs, lookup, type OpSpec } from './op.ts';
