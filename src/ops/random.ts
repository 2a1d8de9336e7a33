// Operators that draw random numbers: never folded, never merged.

import { mul, product, type Shape, unknownDim } from '../graph/index.ts';
import { type DType, dtypeOf } from '../tensor/dtype.ts';
import { unaryAxes } from './axes/same.ts';
import type { InferContext } from './context.ts';
import { define, type OpSpec, tensor } from './op.ts';

const FLOAT = 1;
const INT32 = 6;

function drawn(op: string): OpSpec {
  return {
    op,
    infer: (c) => [tensor(dtypeOf(c.node.int('dtype', FLOAT)), c.node.ints('shape'))],
    pure: false,
  };
}

/** The type the attribute names, or else the input's. */
function dtypeLike(c: InferContext): DType | undefined {
  const given = c.node.int('dtype');
  return given === undefined ? c.dtype(0) : dtypeOf(given);
}

function drawnLike(op: string): OpSpec {
  return { op, infer: (c) => [tensor(dtypeLike(c), c.shape(0))], pure: false };
}

define(
  drawn('RandomNormal'),
  drawn('RandomUniform'),
  drawnLike('RandomNormalLike'),
  drawnLike('RandomUniformLike'),
  drawnLike('Bernoulli'),
  {
    // Log-probabilities [N, classes] → classes drawn [N, sample_size]
    op: 'Multinomial',
    infer(c) {
      const shape: Shape = [c.shape(0)?.[0] ?? unknownDim(), c.node.int('sample_size', 1)];
      return [tensor(dtypeOf(c.node.int('dtype', INT32)), shape)];
    },
    cost(c) {
      const x = c.shape(0);
      return x && mul(product(x), c.node.int('sample_size', 1));
    },
    pure: false,
  },
  {
    // The mask has the input's type before opset 10, and is boolean since.
    op: 'Dropout',
    infer(c) {
      const shape = c.shape(0);
      return [tensor(c.dtype(0), shape), tensor(c.opset < 10 ? c.dtype(0) : 'bool', shape)];
    },
    axes: unaryAxes,
    pure: false,
  },
);
