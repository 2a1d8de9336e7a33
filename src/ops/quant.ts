// Between floats and integers: q = round(x / scale) + zero_point and back. Scales and zero points
// are one for all, one per channel along `axis`, or one per block of `block_size` along it.

import { mul, product } from '../graph/index.ts';
import { type DType, dtypeOf } from '../tensor/dtype.ts';
import { columnAxes, matmulAxes } from './axes/product.ts';
import { dynamicQuantizeAxes, quantizeAxes } from './axes/quant.ts';
import type { InferContext } from './context.ts';
import { matmulCost, matmulShape } from './contraction.ts';
import { define, tensor } from './op.ts';

/** The type of `output_dtype`; undefined where it is absent or 0. */
function outputType(c: InferContext): DType | undefined {
  return dtypeOf(c.node.int('output_dtype', 0));
}

/** A scale per channel must have as many elements as the axis; a block scale the same rank. */
function checkScale(c: InferContext): void {
  const [x, scale] = [c.shape(0), c.shape(1)];
  if (!x || !scale || scale.length === 0) return;
  if (scale.length === 1) {
    const axis = c.node.int('axis', 1);
    const size = x[axis < 0 ? axis + x.length : axis];
    const count = scale[0];
    if (typeof count !== 'number' || typeof size !== 'number') return;
    if (count !== 1 && count !== size && !c.node.int('block_size', 0)) {
      c.fail(`${c.node.op} has ${count} scales for an axis of ${size}`);
    }
  } else if (scale.length !== x.length) {
    c.fail(`${c.node.op} has scales of rank ${scale.length} for an input of rank ${x.length}`);
  }
}

define(
  {
    op: 'QuantizeLinear',
    infer(c) {
      checkScale(c);
      const dtype = c.has(2) ? c.dtype(2) : (outputType(c) ?? 'uint8');
      return [tensor(dtype, c.shape(0))];
    },
    axes: quantizeAxes,
  },
  {
    // Before opset 19 always float32, later the type of the scale unless an attribute says more.
    op: 'DequantizeLinear',
    infer(c) {
      checkScale(c);
      const dtype = c.opset < 19 ? (c.dtype(1) ?? 'float32') : (outputType(c) ?? c.dtype(1));
      return [tensor(dtype, c.shape(0))];
    },
    axes: quantizeAxes,
  },
  {
    op: 'DynamicQuantizeLinear',
    infer: (c) => [tensor('uint8', c.shape(0)), tensor('float32', []), tensor('uint8', [])],
    // One pass for the range, one for the quotient.
    cost(c) {
      const x = c.shape(0);
      return x && mul(product(x), 2);
    },
    axes: dynamicQuantizeAxes,
  },
  {
    op: 'QLinearMatMul',
    infer: (c) => [tensor(c.dtype(7), matmulShape(c, c.shape(0), c.shape(3)))],
    cost: (c) => matmulCost(c, c.shape(0)),
    axes(l) {
      matmulAxes(l, { b: 3 });
      columnAxes(l, [4, 5]);
    },
  },
);
