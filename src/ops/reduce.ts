// Reductions along axes: Reduce*, ArgMax, ArgMin, TopK, and running sums.

import { add, type Dim, max, min, mul, product, type Shape, unknownDim } from '../graph/index.ts';
import { besideAxes, reduceAxes } from './axes/reduce.ts';
import type { InferContext } from './context.ts';
import { define, type OpSpec, tensor } from './op.ts';

/** The axes of a reduction: an attribute, or input 1 since 13 (ReduceSum) and 18 (the others). */
function reductionAxes(c: InferContext): readonly number[] | 'all' | 'none' | 'unknown' {
  const attribute = c.node.ints('axes');
  if (attribute) return attribute.length > 0 ? attribute : 'all';
  if (!c.has(1)) return c.node.int('noop_with_empty_axes', 0) ? 'none' : 'all';
  const given = c.shape(1)?.[0] === 0 ? [] : c.knownNumbers(1);
  if (!given) return 'unknown';
  if (given.length > 0) return given;
  return c.node.int('noop_with_empty_axes', 0) ? 'none' : 'all';
}

function reducedShape(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  const axes = reductionAxes(c);
  const keep = c.node.int('keepdims', 1) !== 0;
  if (axes === 'none' || !shape) return shape;
  if (axes === 'all') return keep ? shape.map(() => 1) : [];
  if (axes === 'unknown') return unknownAxes(c, shape, keep);
  const cut = new Set(axes.map((axis) => c.axis(axis, shape.length)));
  return keep ? shape.map((dim, i) => (cut.has(i) ? 1 : dim)) : shape.filter((_, i) => !cut.has(i));
}

/** The rank may be known even where the axes are not: from how many there are. */
function unknownAxes(c: InferContext, shape: Shape, keep: boolean): Shape | undefined {
  if (keep) return shape.map(unknownDim);
  const count = c.shape(1)?.[0];
  if (typeof count !== 'number') return undefined;
  return Array.from({ length: shape.length - count }, unknownDim);
}

type Fold = (dims: readonly Dim[]) => Dim | undefined;

const FOLDS: Readonly<Record<string, Fold>> = {
  ReduceProd: (dims) => dims.reduce(mul, 1),
  ReduceSum: (dims) => dims.reduce(add, 0),
  ReduceMax: ([first, ...others]) => (first === undefined ? undefined : others.reduce(max, first)),
  ReduceMin: ([first, ...others]) => (first === undefined ? undefined : others.reduce(min, first)),
};

/** The one element that is left of a vector. */
function reducedKnown(c: InferContext, fold: Fold): readonly Dim[] | undefined {
  const axes = reductionAxes(c);
  const dims = c.rank(0) === 1 && axes !== 'none' && axes !== 'unknown' ? c.known(0) : undefined;
  const isExact = dims?.every((dim) => typeof dim !== 'number' || Number.isSafeInteger(dim));
  const result = dims && isExact ? fold(dims) : undefined;
  return result === undefined ? undefined : [result];
}

function reduction(op: string): OpSpec {
  const fold = FOLDS[op];
  return {
    op,
    infer: (c) => [tensor(c.dtype(0), reducedShape(c), fold && reducedKnown(c, fold))],
    cost: (c) => c.shape(0) && product(c.shape(0) as Shape),
    axes: (l) => reduceAxes(l, listedAxes(l.c)),
  };
}

function listedAxes(c: InferContext): readonly number[] | undefined {
  const axes = reductionAxes(c);
  if (axes === 'all') return c.shape(0)?.map((_, i) => i);
  if (axes === 'none') return [];
  return axes === 'unknown' ? undefined : axes;
}

function argReduction(op: string): OpSpec {
  return {
    op,
    infer: (c) => {
      const shape = c.shape(0);
      if (!shape) return [tensor('int64', undefined)];
      const axis = c.axis(c.node.int('axis', 0), shape.length);
      const keep = c.node.int('keepdims', 1) !== 0;
      const result = keep
        ? shape.map((d, i) => (i === axis ? 1 : d))
        : shape.filter((_, i) => i !== axis);
      return [tensor('int64', result)];
    },
    cost: (c) => c.shape(0) && product(c.shape(0) as Shape),
    axes: (l) => besideAxes(l, l.c.node.int('axis', 0)),
  };
}

function topK(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  if (!shape) return undefined;
  const axis = c.axis(c.node.int('axis', -1), shape.length);
  const k = c.node.int('k') ?? c.known(1)?.[0] ?? unknownDim();
  return shape.map((dim, i) => (i === axis ? k : dim));
}

define(
  ...[
    'ReduceL1',
    'ReduceL2',
    'ReduceLogSum',
    'ReduceLogSumExp',
    'ReduceMax',
    'ReduceMean',
    'ReduceMin',
    'ReduceProd',
    'ReduceSum',
    'ReduceSumSquare',
  ].map(reduction),
  argReduction('ArgMax'),
  argReduction('ArgMin'),
  {
    op: 'TopK',
    infer: (c) => [tensor(c.dtype(0), topK(c)), tensor('int64', topK(c))],
    axes: (l) => besideAxes(l, l.c.node.int('axis', -1)),
  },
);
