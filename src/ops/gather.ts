// Indexing: Gather*, Scatter*, OneHot, NonZero, NonMaxSuppression.

import { type Dim, product, type Shape, unknownDim } from '../graph/index.ts';
import { elementsOf } from '../tensor/elements.ts';
import { gatherAxes, gatherNdAxes, resizeGather, scatterNdAxes } from './axes/slicing.ts';
import type { InferContext } from './context.ts';
import { sameAs } from './elementwise.ts';
import { define, type Inferred, type OpSpec, tensor } from './op.ts';

function gather(c: InferContext): Inferred {
  const [data, indices] = [c.shape(0), c.shape(1)];
  if (!data || !indices) return tensor(c.dtype(0), undefined);
  const axis = c.axis(c.node.int('axis', 0), data.length);
  const shape = [...data.slice(0, axis), ...indices, ...data.slice(axis + 1)];
  return tensor(c.dtype(0), shape, gatherKnown(c));
}

function gatherKnown(c: InferContext): readonly Dim[] | undefined {
  const known = c.rank(0) === 1 ? c.known(0) : undefined;
  const picks = c.knownNumbers(1);
  if (!known || !picks) return undefined;
  const found = picks.map((i) => known[i < 0 ? i + known.length : i]);
  return found.every((dim) => dim !== undefined) ? (found as Dim[]) : undefined;
}

/** [..batch, ..index axes, ..the rest that an index tuple leaves open]. */
function gatherNd(c: InferContext): Shape | undefined {
  const [data, indices] = [c.shape(0), c.shape(1)];
  const tuple = indices?.at(-1);
  if (!data || !indices || typeof tuple !== 'number') return undefined;
  const batch = c.node.int('batch_dims', 0);
  if (batch + tuple > data.length) {
    c.fail(`GatherND indexes ${tuple} axes after ${batch} batch axes of [${data.join(', ')}]`);
  }
  return [...indices.slice(0, -1), ...data.slice(batch + tuple)];
}

function oneHot(c: InferContext): Inferred {
  const indices = c.shape(0);
  const depth = c.known(1)?.[0] ?? floatDepth(c) ?? unknownDim();
  if (!indices) return tensor(c.dtype(2), undefined);
  const axis = c.axis(c.node.int('axis', -1), indices.length + 1);
  return tensor(c.dtype(2), [...indices.slice(0, axis), depth, ...indices.slice(axis)]);
}

/** The depth may be a float. */
function floatDepth(c: InferContext): number | undefined {
  const data = c.constant(1);
  return data?.dtype === 'float32' || data?.dtype === 'float64' ? data.numbers()[0] : undefined;
}

/** The result has the shape of the data, whatever is written into it. */
function scatter(op: string): OpSpec {
  return { op, infer: (c) => [sameAs(c, 0)], cost: () => 0 };
}

/** Indices [rank, count] of what is not zero; older exporters count with it: NonZero of ones. */
function nonZero(c: InferContext): Inferred {
  const x = c.shape(0);
  const known = x?.length === 1 ? c.knownNumbers(0) : undefined;
  if (known) {
    const indices = known.flatMap((element, i) => (element === 0 ? [] : [i]));
    return tensor('int64', [1, indices.length], indices);
  }
  const rank = x ? Math.max(1, x.length) : unknownDim();
  return tensor('int64', [rank, x && isFilled(c) ? product(x) : unknownDim()]);
}

/** Whether input 0 is one number, not 0, all over. */
function isFilled(c: InferContext): boolean {
  const producer = c.node.inputs[0]?.producer;
  const value = producer?.op === 'ConstantOfShape' ? producer.tensor('value') : undefined;
  return value !== undefined && Number(elementsOf(value)[0]) !== 0;
}

define(
  {
    op: 'Gather',
    infer: (c) => [gather(c)],
    cost: () => 0,
    axes: gatherAxes,
    resize: resizeGather,
  },
  { op: 'GatherElements', infer: (c) => [tensor(c.dtype(0), c.shape(1))], cost: () => 0 },
  {
    op: 'GatherND',
    infer: (c) => [tensor(c.dtype(0), gatherNd(c))],
    cost: () => 0,
    axes: gatherNdAxes,
  },
  { ...scatter('ScatterND'), axes: scatterNdAxes },
  ...['Scatter', 'ScatterElements', 'TensorScatter'].map(scatter),
  { op: 'OneHot', infer: (c) => [oneHot(c)], cost: () => 0 },
  { op: 'NonZero', infer: (c) => [nonZero(c)] },
  { op: 'NonMaxSuppression', infer: () => [tensor('int64', [unknownDim(), 3])] },
);
