// Pooling: windows over [N, C, d1 …], the whole image, or regions of it.

import { add, type Dim, mul, product, type Shape, sub, unknownDim } from '../graph/index.ts';
import { poolAxes } from './axes/reduce.ts';
import type { InferContext } from './context.ts';
import { define, type Inferred, tensor } from './op.ts';
import { slide, unknownDims, windowOf } from './window.ts';

/** Shape after a pooling window given by `kernel_shape`. */
export function poolShape(c: InferContext, channelsLast = false): Shape | undefined {
  const x = c.shape(0);
  if (!x) return undefined;
  if (x.length < 3) c.fail(`${c.node.op} needs an input of rank 3 or more, but has ${x.length}`);
  const kernel = c.node.ints('kernel_shape');
  const spatial = channelsLast ? x.slice(1, -1) : x.slice(2);
  const slid = kernel ? slide(c, spatial, windowOf(c, kernel)) : unknownDims(spatial.length);
  const channels = (channelsLast ? x[x.length - 1] : x[1]) as Dim;
  return channelsLast ? [x[0] as Dim, ...slid, channels] : [x[0] as Dim, channels, ...slid];
}

/** [N, C, d1 …] → [N, C, 1 …], or the same with channels last. */
export function globalPoolShape(x: Shape | undefined, channelsLast = false): Shape | undefined {
  const last = (x?.length ?? 0) - 1;
  const isKept = (axis: number) => axis === 0 || axis === (channelsLast ? last : 1);
  return x?.map((dim, axis) => (isKept(axis) ? dim : 1));
}

/** One step per output element and window element. */
export function poolCost(c: InferContext): Dim | undefined {
  const { shape } = c.node.output;
  return shape && mul(product(shape), product(c.node.ints('kernel_shape') ?? []));
}

/** One step per input element. */
export function inputCost(c: InferContext): Dim | undefined {
  const x = c.shape(0);
  return x && product(x);
}

/** output = stride * (size - 1) + kernel - pads, unless input 2 gives it. */
function unpooledShape(c: InferContext): Shape | undefined {
  const x = c.shape(0);
  const given = c.known(2);
  if (given) return given;
  if (!x) return undefined;
  if (c.has(2)) return x.map(unknownDim);
  const window = windowOf(c, c.node.ints('kernel_shape') ?? []);
  const rank = window.kernel.length;
  const spatial = x.slice(2).map((size, axis) => {
    const pads = (window.pads[axis] ?? 0) + (window.pads[axis + rank] ?? 0);
    const spread = mul(sub(size, 1), window.strides[axis] ?? 1);
    return sub(add(spread, window.kernel[axis] ?? 1), pads);
  });
  return [...x.slice(0, 2), ...spatial];
}

const window = (op: string) => ({
  op,
  infer: (c: InferContext): Inferred[] => [tensor(c.dtype(0), poolShape(c))],
  cost: poolCost,
  axes: poolAxes(),
});

const global = (op: string) => ({
  op,
  infer: (c: InferContext): Inferred[] => [tensor(c.dtype(0), globalPoolShape(c.shape(0)))],
  cost: inputCost,
  axes: poolAxes(),
});

define(
  window('AveragePool'),
  window('LpPool'),
  {
    op: 'MaxPool',
    infer(c) {
      const shape = poolShape(c);
      return [tensor(c.dtype(0), shape), tensor('int64', shape)];
    },
    cost: poolCost,
    axes: poolAxes(),
  },
  global('GlobalAveragePool'),
  global('GlobalMaxPool'),
  global('GlobalLpPool'),
  { op: 'MaxUnpool', infer: (c) => [tensor(c.dtype(0), unpooledShape(c))] },
  {
    // X [N, C, H, W], rois [R, 5] → [R, C, pooled_h, pooled_w]
    op: 'MaxRoiPool',
    infer(c) {
      const pooled = c.node.ints('pooled_shape') ?? unknownDims(2);
      const regions = c.shape(1)?.[0] ?? unknownDim();
      return [tensor(c.dtype(0), [regions, c.shape(0)?.[1] ?? unknownDim(), ...pooled])];
    },
    axes: (l) => l.join(l.in(0, 1), l.out(0, 1)),
  },
  {
    // X [N, C, H, W], rois [R, 4], batch_indices [R] → [R, C, output_height, output_width]
    op: 'RoiAlign',
    infer(c) {
      const regions = c.shape(1)?.[0] ?? c.shape(2)?.[0] ?? unknownDim();
      const size = [c.node.int('output_height', 1), c.node.int('output_width', 1)];
      return [tensor(c.dtype(0), [regions, c.shape(0)?.[1] ?? unknownDim(), ...size])];
    },
    // Each of sampling_ratio² points blends four neighbours; 0 lets it adapt, 2 x 2 is common.
    cost(c) {
      const ratio = c.node.int('sampling_ratio', 0) || 2;
      const { shape } = c.node.output;
      return shape && mul(product(shape), 4 * ratio * ratio);
    },
    axes: (l) => l.join(l.in(0, 1), l.out(0, 1)),
  },
);
