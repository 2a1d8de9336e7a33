// Products: MatMul, Gemm, Einsum, MatMulInteger, Det.

import { type Dim, mul, product, type Shape, sameDim } from '../graph/index.ts';
import { columnAxes, einsumAxes, gemmAxes, matmulAxes } from './axes/product.ts';
import type { InferContext } from './context.ts';
import { matmulCost, matmulShape } from './contraction.ts';
import { broadcast } from './elementwise.ts';
import { define, tensor } from './op.ts';

/** Rows and columns of a matrix that an attribute may transpose. */
function matrix(
  c: InferContext,
  index: number,
  transposed: string,
): readonly [Dim, Dim] | undefined {
  const shape = c.shape(index);
  if (!shape) return undefined;
  if (shape.length !== 2)
    c.fail(`${c.node.op} needs matrices, but input ${index} is [${shape.join(', ')}]`);
  const [rows, columns] = shape as readonly [Dim, Dim];
  return c.node.int(transposed, 0) ? [columns, rows] : [rows, columns];
}

function gemmShape(c: InferContext): Shape | undefined {
  const a = matrix(c, 0, 'transA');
  const b = matrix(c, 1, 'transB');
  if (!a || !b) return undefined;
  const [inner, other] = [a[1], b[0]];
  if (typeof inner === 'number' && typeof other === 'number' && inner !== other) {
    c.fail(
      `Gemm needs A's columns to equal B's rows, but A is [${a.join(', ')}] and B is [${b.join(', ')}]`,
    );
  }
  return [a[0], b[1]];
}

interface Equation {
  readonly inputs: readonly string[];
  readonly output: string;
}

/** `ij,jk->ik`; without an arrow the output holds the letters that occur once, in order. */
function parseEquation(text: string): Equation {
  const [left = '', right] = text.replaceAll(' ', '').replaceAll('...', '.').split('->');
  const inputs = left.split(',');
  if (right !== undefined) return { inputs, output: right };
  const letters = inputs.join('').replaceAll('.', '');
  const once = [...new Set(letters)].filter((l) => letters.split(l).length === 2).sort();
  return { inputs, output: `${left.includes('.') ? '.' : ''}${once.join('')}` };
}

/** Sizes by letter; the dimensions behind `...` are broadcast together under '.'. */
function einsumSizes(c: InferContext, equation: Equation): Map<string, Shape> | undefined {
  const sizes = new Map<string, Shape>();
  for (const [i, term] of equation.inputs.entries()) {
    const shape = c.shape(i);
    if (!shape) return undefined;
    const hidden = shape.length - term.replace('.', '').length;
    let axis = 0;
    for (const letter of term) {
      const width = letter === '.' ? hidden : 1;
      const dims = shape.slice(axis, axis + width);
      const both = broadcast(sizes.get(letter) ?? [], dims);
      if (!both || dims.length !== width) {
        c.fail(
          `Einsum "${c.node.string('equation', '')}" does not fit input ${i} of shape [${shape.join(', ')}]`,
        );
      }
      sizes.set(letter, both);
      axis += width;
    }
  }
  return sizes;
}

function einsum(c: InferContext): { shape?: Shape; cost?: Dim } {
  const equation = parseEquation(c.node.string('equation', ''));
  const sizes = einsumSizes(c, equation);
  if (!sizes) return {};
  const shape = [...equation.output].flatMap((letter) => sizes.get(letter) ?? []);
  return { shape, cost: product([...sizes.values()].flat()) };
}

define(
  {
    op: 'MatMul',
    infer: (c) => [tensor(c.dtype(0) ?? c.dtype(1), matmulShape(c, c.shape(0), c.shape(1)))],
    cost: (c) => matmulCost(c, c.shape(0)),
    axes: (l) => matmulAxes(l),
  },
  {
    op: 'MatMulInteger',
    infer: (c) => [tensor('int32', matmulShape(c, c.shape(0), c.shape(1)))],
    cost: (c) => matmulCost(c, c.shape(0)),
    axes(l) {
      matmulAxes(l);
      columnAxes(l, [3]);
    },
  },
  {
    op: 'Gemm',
    infer: (c) => [tensor(c.dtype(0) ?? c.dtype(1), gemmShape(c))],
    cost: (c) => {
      const a = matrix(c, 0, 'transA');
      const b = matrix(c, 1, 'transB');
      return a && b ? mul(mul(a[0], a[1]), b[1]) : undefined;
    },
    axes: (l) => gemmAxes(l),
  },
  {
    op: 'Einsum',
    infer: (c) => [tensor(c.dtype(0), einsum(c).shape)],
    cost: (c) => einsum(c).cost,
    axes: einsumAxes,
  },
  {
    op: 'Det',
    infer: (c) => {
      const shape = c.shape(0);
      const [rows, columns] = shape?.slice(-2) ?? [];
      if (shape && (rows === undefined || columns === undefined || !sameSquare(rows, columns))) {
        c.fail(`Det needs square matrices, but its input is [${shape.join(', ')}]`);
      }
      return [tensor(c.dtype(0), shape?.slice(0, -2))];
    },
  },
);

function sameSquare(a: Dim, b: Dim): boolean {
  return typeof a !== 'number' || typeof b !== 'number' || sameDim(a, b);
}
