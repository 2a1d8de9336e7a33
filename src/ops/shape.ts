// Operators that change the shape and keep the elements: Reshape, Flatten, Squeeze, Unsqueeze,
// Transpose, Expand, Tile, DepthToSpace …, and those that look at shapes.

import { type Dim, floorDiv, mul, product, type Shape, unknownDim } from '../graph/index.ts';
import { reshapeAxes } from './axes/reshape.ts';
import { unaryAxes } from './axes/same.ts';
import { shapeAxes } from './axes/shape-use.ts';
import {
  depthToSpaceAxes,
  expandAxes,
  spaceToDepthAxes,
  tileAxes,
  transposeAxes,
} from './axes/slicing.ts';
import { resizeTarget } from './axes/target.ts';
import type { InferContext } from './context.ts';
import { broadcast, sameAs } from './elementwise.ts';
import { define, tensor } from './op.ts';
import { reshaped } from './reshape.ts';

/** Longer vectors are data, not shapes. */
const MAX_KNOWN = 1024;

function flattened(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  if (!shape) return [unknownDim(), unknownDim()];
  const given = c.node.int('axis', 1);
  const axis = given < 0 ? given + shape.length : given;
  return [product(shape.slice(0, axis)), product(shape.slice(axis))];
}

/** Axes as an attribute (until 12) or as input 1. */
function axesOf(c: InferContext): readonly number[] | undefined {
  return c.node.ints('axes') ?? c.knownNumbers(1);
}

function squeezed(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  const axes = axesOf(c);
  if (!shape) return undefined;
  if (axes) {
    const cut = new Set(axes.map((axis) => c.axis(axis, shape.length)));
    const wide = shape.findIndex((dim, i) => cut.has(i) && typeof dim === 'number' && dim !== 1);
    if (wide >= 0)
      c.fail(`Squeeze drops axes of size 1, but axis ${wide} of [${shape.join(', ')}] is not`);
    return shape.filter((_, i) => !cut.has(i));
  }
  if (c.has(1)) {
    const count = c.shape(1)?.[0];
    return typeof count === 'number'
      ? Array.from({ length: shape.length - count }, unknownDim)
      : undefined;
  }
  // Without axes every 1 goes; a symbol might be a 1.
  return shape.every((dim) => typeof dim === 'number')
    ? shape.filter((dim) => dim !== 1)
    : undefined;
}

function unsqueezed(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  const axes = axesOf(c);
  if (!shape) return undefined;
  if (!axes) {
    const count = c.shape(1)?.[0];
    return typeof count === 'number'
      ? Array.from({ length: shape.length + count }, unknownDim)
      : undefined;
  }
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => c.axis(axis, rank)));
  const dims = [...shape];
  return Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (dims.shift() ?? 1)));
}

function transposed(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  if (!shape) return c.node.ints('perm')?.map(unknownDim);
  const perm = c.node.ints('perm') ?? shape.map((_, i) => shape.length - 1 - i);
  if (perm.length !== shape.length) {
    c.fail(`Transpose permutes ${perm.length} axes, but its input is [${shape.join(', ')}]`);
  }
  return perm.map((axis) => shape[c.axis(axis, shape.length)] as Dim);
}

/** Elements are kept row by row. */
function transposedKnown(c: InferContext): readonly Dim[] | undefined {
  const known = c.known(0);
  const [rows, columns] = c.shape(0) ?? [];
  if (!known || columns === undefined) return known;
  if (typeof rows !== 'number' || typeof columns !== 'number') return undefined;
  if (c.node.ints('perm')?.[0] === 0) return known;
  return known.map((_, i) => known[(i % rows) * columns + Math.floor(i / rows)] as Dim);
}

function expanded(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  const target = c.known(1);
  if (!shape) return undefined;
  if (target) {
    const both = broadcast(shape, target);
    if (!both) c.fail(`Expand cannot stretch [${shape.join(', ')}] to [${target.join(', ')}]`);
    return both;
  }
  const rank = c.shape(1)?.[0];
  if (typeof rank !== 'number') return undefined;
  return Array.from({ length: Math.max(rank, shape.length) }, unknownDim);
}

/** Opset 1 repeats one axis: inputs `tiles` and `axis`. */
function tiled(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  if (!shape) return undefined;
  const repeats = c.known(1);
  if (c.inputCount < 3)
    return shape.map((dim, i) => (repeats ? mul(dim, repeats[i] ?? 1) : unknownDim()));
  const axis = c.knownNumbers(2)?.[0];
  if (axis === undefined || !repeats) return shape.map(unknownDim);
  return shape.map((dim, i) => (i === axis ? mul(dim, repeats[0] ?? 1) : dim));
}

function tiledKnown(c: InferContext): readonly Dim[] | undefined {
  const [known, repeats] = [c.known(0), c.knownNumbers(1)?.[0]];
  const isShort = known && repeats !== undefined && known.length * repeats <= MAX_KNOWN;
  return isShort && c.rank(0) === 1 ? new Array(repeats).fill(known).flat() : undefined;
}

/** Moves a factor of blocksize² between channels and the two spatial axes. */
function blocked(c: InferContext, toSpace: boolean): Shape | undefined {
  const shape = c.shape(0);
  const block = c.node.int('blocksize', 1);
  if (shape?.length !== 4) return undefined;
  const [n, channels, height, width] = shape as readonly [Dim, Dim, Dim, Dim];
  const area = block * block;
  return toSpace
    ? [n, floorDiv(channels, area), mul(height, block), mul(width, block)]
    : [n, mul(channels, area), floorDiv(height, block), floorDiv(width, block)];
}

/** Elements survive where order and number do. */
function keepKnown(c: InferContext, shape: Shape | undefined) {
  return shape && shape.length <= 1 ? c.known(0) : undefined;
}

define(
  {
    op: 'Reshape',
    infer: (c) => {
      const shape = reshaped(c);
      // Exporters turn the pads of PyTorch around as a matrix [-1, 2].
      const known = shape?.length === 2 ? c.known(0) : keepKnown(c, shape);
      return [tensor(c.dtype(0), shape, known)];
    },
    cost: () => 0,
    axes: (l) => reshapeAxes(l),
    resize: resizeTarget(1, 'shape'),
    shapeInput: 1,
  },
  {
    op: 'Flatten',
    infer: (c) => [tensor(c.dtype(0), flattened(c))],
    cost: () => 0,
    axes: (l) => reshapeAxes(l),
  },
  {
    op: 'Squeeze',
    infer: (c) => {
      const shape = squeezed(c);
      return [tensor(c.dtype(0), shape, keepKnown(c, shape))];
    },
    cost: () => 0,
    axes: (l) => reshapeAxes(l),
  },
  {
    op: 'Unsqueeze',
    infer: (c) => {
      const shape = unsqueezed(c);
      return [tensor(c.dtype(0), shape, keepKnown(c, shape))];
    },
    cost: () => 0,
    axes: (l) => reshapeAxes(l),
  },
  {
    op: 'Transpose',
    infer: (c) => [tensor(c.dtype(0), transposed(c), transposedKnown(c))],
    cost: () => 0,
    axes: transposeAxes,
  },
  {
    op: 'Expand',
    infer: (c) => {
      const shape = expanded(c);
      const [only] = c.known(0) ?? [];
      const length = shape?.length === 1 ? shape[0] : undefined;
      const known =
        only !== undefined &&
        c.known(0)?.length === 1 &&
        typeof length === 'number' &&
        length <= MAX_KNOWN
          ? new Array<Dim>(length).fill(only)
          : undefined;
      return [tensor(c.dtype(0), shape, known)];
    },
    cost: () => 0,
    axes: expandAxes,
    resize: resizeTarget(1),
    shapeInput: 1,
  },
  {
    op: 'Tile',
    infer: (c) => [tensor(c.dtype(0), tiled(c), tiledKnown(c))],
    cost: () => 0,
    axes: tileAxes,
  },
  {
    op: 'DepthToSpace',
    infer: (c) => [tensor(c.dtype(0), blocked(c, true))],
    cost: () => 0,
    axes: depthToSpaceAxes,
  },
  {
    op: 'SpaceToDepth',
    infer: (c) => [tensor(c.dtype(0), blocked(c, false))],
    cost: () => 0,
    axes: spaceToDepthAxes,
  },
  { op: 'Identity', infer: (c) => [sameAs(c, 0, c.known(0))], cost: () => 0, axes: unaryAxes },
  {
    op: 'Shape',
    infer: (c) => {
      const shape = c.shape(0);
      if (!shape) return [tensor('int64', [unknownDim()])];
      const dims = shape.slice(
        clampAxis(c, 'start', 0, shape),
        clampAxis(c, 'end', shape.length, shape),
      );
      return [tensor('int64', [dims.length], dims)];
    },
    cost: () => 0,
    axes: shapeAxes,
  },
  {
    op: 'Size',
    infer: (c) => [tensor('int64', [], c.shape(0) && [product(c.shape(0) as Shape)])],
    cost: () => 0,
    axes: shapeAxes,
  },
);

function clampAxis(c: InferContext, name: string, otherwise: number, shape: Shape): number {
  const given = c.node.int(name, otherwise);
  const positive = given < 0 ? given + shape.length : given;
  return Math.min(Math.max(positive, 0), shape.length);
}
