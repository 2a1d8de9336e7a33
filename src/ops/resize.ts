// Operators that sample an image anew: Resize, Upsample, GridSample, AffineGrid.
// output = floor(input * scale), in float32 as onnxruntime calculates it.

import {
  type Dim,
  floorDiv,
  mul,
  product,
  type Shape,
  sameDim,
  unknownDim,
} from '../graph/index.ts';
import { elementsOf } from '../tensor/elements.ts';
import { channelAxes, resampleAxes } from './axes/same.ts';
import { resizeTarget } from './axes/target.ts';
import type { InferContext } from './context.ts';
import { define, tensor } from './op.ts';
import { unknownDims } from './window.ts';

/** Symbolic sizes are scaled exactly by fractions up to this denominator. */
const MAX_DENOMINATOR = 64;

export function scaleDim(dim: Dim, scale: number): Dim {
  if (scale === 1) return dim;
  if (typeof dim === 'number') return Math.floor(Math.fround(Math.fround(scale) * dim));
  for (let q = 1; q <= MAX_DENOMINATOR; q++) {
    const p = Math.round(scale * q);
    if (p > 0 && Math.abs(p / q - scale) < 1e-6 * scale) return floorDiv(mul(dim, p), q);
  }
  return unknownDim();
}

/** The elements of a constant float input; undefined when it is absent, computed or empty. */
function numbersOf(c: InferContext, index: number): readonly number[] | undefined {
  const data = c.constant(index);
  if (!data || data.isDerived || data.size === 0) return undefined;
  return Array.from(elementsOf(data), Number);
}

function resizedShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const hasRoi = c.opset >= 11;
  const scalesAt = hasRoi ? 2 : 1;
  const scales = numbersOf(c, scalesAt);
  const sizes = hasRoi && c.has(3) ? c.known(3) : undefined;
  const axes = c.node.ints('axes');
  if (!x) {
    if (axes) return undefined;
    return sizes ?? (scales && unknownDims(scales.length));
  }
  const resized = (axes ?? x.map((_, i) => i)).map((axis) => c.axis(axis, x.length));
  const count = scales?.length ?? sizes?.length;
  if (count !== undefined && count !== resized.length) {
    c.fail(`${c.node.op} resizes ${resized.length} axes, but has ${count} scales or sizes`);
  }
  const result = [...x];
  resized.forEach((axis, i) => {
    const dim = x[axis] as Dim;
    if (scales) result[axis] = scaleDim(dim, scales[i] as number);
    else result[axis] = sizes ? (sizes[i] as Dim) : unknownDim();
  });
  const policy = c.node.string('keep_aspect_ratio_policy', 'stretch');
  if (sizes && !scales && policy !== 'stretch') keepAspectRatio(result, x, resized, sizes, policy);
  return result;
}

/** Scales all axes alike: by the smallest ratio (`not_larger`) or the largest (`not_smaller`). */
function keepAspectRatio(
  result: Dim[],
  x: Shape,
  axes: readonly number[],
  sizes: Shape,
  policy: string,
): void {
  const ratios = axes.map((axis, i) => {
    const [from, to] = [x[axis], sizes[i]];
    return typeof from === 'number' && typeof to === 'number' ? Math.fround(to / from) : Number.NaN;
  });
  const ratio = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  for (const axis of axes) {
    const from = x[axis] as Dim;
    const isKnown = Number.isFinite(ratio) && typeof from === 'number';
    // Half rounds up (ONNX, Resize: "round_int").
    result[axis] = isKnown ? Math.round(ratio * from) : unknownDim();
  }
}

/** Opset 1: two attributes; 7: an attribute; 9: an input. */
function upsampledShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  if (!x) return undefined;
  const scales = c.node.floats('scales') ?? numbersOf(c, 1);
  if (scales) {
    if (scales.length !== x.length) {
      c.fail(`Upsample needs ${x.length} scales, but has ${scales.length}`);
    }
    return x.map((dim, i) => scaleDim(dim, scales[i] as number));
  }
  const [height, width] = [c.node.float('height_scale'), c.node.float('width_scale')];
  if (height === undefined || width === undefined || x.length !== 4) return x.map(unknownDim);
  return [...x.slice(0, 2), scaleDim(x[2] as Dim, height), scaleDim(x[3] as Dim, width)];
}

/** Neighbours blended for one output element: 2 per resized axis for linear, 4 for cubic. */
export function blendCost(c: InferContext): Dim | undefined {
  const { shape } = c.node.output;
  const x = c.shape(0);
  if (!shape || !x) return undefined;
  const mode = c.node.string('mode', c.node.op === 'GridSample' ? 'linear' : 'nearest');
  const isCubic = mode === 'cubic' || mode === 'bicubic';
  const reach = mode === 'nearest' ? 1 : isCubic ? 4 : 2;
  const axes =
    c.node.op === 'GridSample'
      ? x.length - 2
      : shape.filter((dim, i) => !sameDim(dim, x[i] ?? 0)).length;
  return mul(product(shape), reach ** axes);
}

/** X [N, C, d1 …], grid [N, o1 …, r] → [N, C, o1 …] */
export function gridSampleShape(c: InferContext): Shape | undefined {
  const [x, grid] = [c.shape(0), c.shape(1)];
  if (!x || !grid) return x?.map((dim, i) => (i < 2 ? dim : unknownDim()));
  if (x.length !== grid.length) {
    c.fail(`GridSample needs a grid of its input's rank ${x.length}, but it has ${grid.length}`);
  }
  return [...x.slice(0, 2), ...grid.slice(1, -1)];
}

define(
  {
    op: 'Resize',
    infer: (c) => [tensor(c.dtype(0), resizedShape(c))],
    cost: blendCost,
    axes: resampleAxes,
    // Sizes of all axes, the channels among them.
    resize: resizeTarget(3),
  },
  {
    op: 'Upsample',
    infer: (c) => [tensor(c.dtype(0), upsampledShape(c))],
    cost: blendCost,
    axes: resampleAxes,
  },
  {
    op: 'GridSample',
    infer: (c) => [tensor(c.dtype(0), gridSampleShape(c))],
    cost: blendCost,
    axes: channelAxes,
  },
  {
    // theta [N, r, r + 1], size [N, C, d1 …] → grid [N, d1 …, r]
    op: 'AffineGrid',
    infer(c) {
      const size = c.known(1);
      const count = size?.length ?? c.shape(1)?.[0];
      if (typeof count !== 'number') return [tensor(c.dtype(0), undefined)];
      const spatial = size ? size.slice(2) : unknownDims(count - 2);
      const batch = size?.[0] ?? c.shape(0)?.[0] ?? unknownDim();
      return [tensor(c.dtype(0), [batch, ...spatial, count - 2])];
    },
    cost(c) {
      const { shape } = c.node.output;
      const rank = shape?.at(-1);
      return shape && rank !== undefined ? mul(product(shape), rank) : undefined;
    },
  },
);
