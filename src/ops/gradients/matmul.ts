// Gradients of products. For Y = A B: dA = dY Bᵀ, dB = Aᵀ dY; batch axes that were broadcast are
// summed by the walker.

import { attr, type Value } from '../../graph/index.ts';
import { type GradientContext, gradients } from '../gradient.ts';

/** dB of Y = A B. A matrix B under a batch of A is one product over all rows, not a sum of many. */
function rightGradient(c: GradientContext, a: Value, b: Value, dy: Value): Value {
  const flat = c.rank(b) === 2 && c.rank(a) > 2;
  if (!flat) return c.matmul(c.transposeLast(a), dy);
  const rows = (value: Value) => {
    const columns = c.staticShape(value)?.at(-1);
    if (columns !== undefined) return c.op('Reshape', [value, c.ints([-1, columns])]);
    const last = c.op('Shape', [value], { start: -1 });
    const shape = c.op('Concat', [c.ints([-1]), last], { axis: 0 });
    return c.op('Reshape', [value, shape]);
  };
  return c.op('Gemm', [rows(a), rows(dy)], { transA: 1 });
}

/** Vectors as matrices of one row or column, so that one rule serves. */
function matmul(c: GradientContext): (Value | undefined)[] {
  const [a, b] = [c.x(0), c.x(1)];
  const [rowVector, columnVector] = [c.rank(a) === 1, c.rank(b) === 1];
  const widened = (value: Value, axis: number) => c.op('Unsqueeze', [value, c.ints([axis])]);
  const narrowed = (value: Value, axis: number) => c.op('Squeeze', [value, c.ints([axis])]);
  const left = rowVector ? widened(a, 0) : a;
  const right = columnVector ? widened(b, 1) : b;
  let dy = c.dy();
  if (rowVector && columnVector) dy = widened(widened(dy, 0), 0);
  else if (rowVector) dy = widened(dy, -2);
  else if (columnVector) dy = widened(dy, -1);
  return [
    c.when(0, () => {
      const da = c.sumTo(c.matmul(dy, c.transposeLast(right)), left);
      return rowVector ? narrowed(da, 0) : da;
    }),
    c.when(1, () => {
      const db = c.sumTo(rightGradient(c, left, right, dy), right);
      return columnVector ? narrowed(db, 1) : db;
    }),
  ];
}

/** Y = α A' B' + β C, where ' transposes as the attributes say. */
function gemm(c: GradientContext): (Value | undefined)[] {
  const [alpha, beta] = [c.node.float('alpha', 1), c.node.float('beta', 1)];
  const [transA, transB] = [c.node.int('transA', 0), c.node.int('transB', 0)];
  const [a, b, dy] = [c.x(0), c.x(1), c.dy()];
  const product = (left: Value, right: Value, tA: number, tB: number) =>
    c.op('Gemm', [left, right], { alpha: attr.float(alpha), transA: tA, transB: tB });
  return [
    c.when(0, () => (transA ? product(b, dy, transB, 1) : product(dy, b, 0, 1 - transB))),
    c.when(1, () => (transB ? product(dy, a, 1, transA) : product(a, dy, 1 - transA, 0))),
    c.when(2, () => c.scale(dy, beta)),
  ];
}

gradients({ MatMul: matmul, Gemm: gemm });
