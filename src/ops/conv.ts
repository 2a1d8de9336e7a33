// Convolutions. X [N, C, d1 …], W [M, C/group, k1 …] → Y [N, M, o1 …]; a transposed convolution
// has W [C, M/group, k1 …]. One output element takes C/group * k1 * … multiply-adds.

import {
  add,
  type Dim,
  floorDiv,
  min,
  mul,
  product,
  type Shape,
  sub,
  unknownDim,
} from '../graph/index.ts';
import { convAxes, resizeConv } from './axes/product.ts';
import type { InferContext } from './context.ts';
import { define, tensor } from './op.ts';
import { extentOf, slide, unknownDims, type Window, windowOf } from './window.ts';

interface ConvLayout {
  /** Input positions of X and W. */
  readonly x: number;
  readonly w: number;
  /** X and Y have their channels last ([N, d1 …, C]); W never has. */
  readonly channelsLast?: boolean;
}

/** Shape of Y. */
export function convShape(c: InferContext, layout: ConvLayout): Shape | undefined {
  const weight = c.shape(layout.w);
  const x = c.shape(layout.x);
  const kernel = kernelOf(c, weight);
  if (!x) return kernel && arrange(unknownDim(), weight?.[0], unknownDims(kernel.length), layout);
  if (x.length < 3) c.fail(`${c.node.op} needs an input of rank 3 or more, but has ${x.length}`);
  const channels = layout.channelsLast ? x[x.length - 1] : x[1];
  const spatial = layout.channelsLast ? x.slice(1, -1) : x.slice(2);
  if (weight) checkChannels(c, channels as Dim, weight);
  const slid = kernel ? slide(c, spatial, windowOf(c, kernel)) : unknownDims(spatial.length);
  return arrange(x[0] as Dim, weight?.[0], slid, layout);
}

function arrange(batch: Dim, channels: Dim | undefined, spatial: Dim[], layout: ConvLayout): Shape {
  const m = channels ?? unknownDim();
  return layout.channelsLast ? [batch, ...spatial, m] : [batch, m, ...spatial];
}

function kernelOf(c: InferContext, weight: Shape | undefined): Shape | undefined {
  return weight?.slice(2) ?? c.node.ints('kernel_shape');
}

function checkChannels(c: InferContext, channels: Dim, weight: Shape): void {
  const expected = mul(weight[1] ?? 1, c.node.int('group', 1));
  if (typeof channels !== 'number' || typeof expected !== 'number') return;
  if (channels !== expected) {
    c.fail(`${c.node.op} has ${channels} input channels, but its weight is made for ${expected}`);
  }
}

/** Output elements times the elements of one filter. */
export function convCost(c: InferContext, weightIndex: number): Dim | undefined {
  const weight = c.shape(weightIndex);
  const { shape } = c.node.output;
  return weight && shape && mul(product(shape), product(weight.slice(1)));
}

/** output = stride * (size - 1) + output_padding + extent - pads; or `output_shape`; or by auto_pad. */
export function transposedShape(c: InferContext): Shape | undefined {
  const [x, weight] = [c.shape(0), c.shape(1)];
  const kernel = kernelOf(c, weight);
  const group = c.node.int('group', 1);
  const channels = weight ? mul(weight[1] ?? unknownDim(), group) : unknownDim();
  if (!x) return kernel && [unknownDim(), channels, ...unknownDims(kernel.length)];
  if (x.length < 3) c.fail(`ConvTranspose needs an input of rank 3 or more, but has ${x.length}`);
  const spatial = x.slice(2);
  if (!kernel) return [x[0] as Dim, channels, ...unknownDims(spatial.length)];
  if (kernel.length !== spatial.length) {
    c.fail(
      `ConvTranspose has a kernel of ${kernel.length} axes for ${spatial.length} spatial axes`,
    );
  }
  const given = c.node.ints('output_shape');
  if (given && given.length >= spatial.length) {
    return [x[0] as Dim, channels, ...given.slice(given.length - spatial.length)];
  }
  const window = windowOf(c, kernel);
  const extra = c.node.ints('output_padding') ?? [];
  return [
    x[0] as Dim,
    channels,
    ...spatial.map((size, axis) => unslide(size, axis, window, extra[axis] ?? 0)),
  ];
}

/** Every input element meets every filter element of its group. */
export function transposedCost(c: InferContext): Dim | undefined {
  const [x, weight] = [c.shape(0), c.shape(1)];
  return x && weight && mul(product(x), product(weight.slice(1)));
}

function unslide(size: Dim, axis: number, window: Window, outputPadding: number): Dim {
  const stride = window.strides[axis] as number;
  const full = add(add(mul(sub(size, 1), stride), outputPadding), extentOf(window, axis));
  // Padding cannot be negative: a small kernel leaves less than stride * size.
  if (window.autoPad.startsWith('SAME')) return min(mul(size, stride), full);
  if (window.autoPad === 'VALID') return full;
  const pads = (window.pads[axis] as number) + (window.pads[axis + window.kernel.length] as number);
  return sub(full, pads);
}

define(
  {
    op: 'Conv',
    infer: (c) => [tensor(c.dtype(0) ?? c.dtype(1), convShape(c, { x: 0, w: 1 }))],
    cost: (c) => convCost(c, 1),
    axes: convAxes(),
    resize: resizeConv(),
  },
  {
    op: 'ConvInteger',
    infer: (c) => [tensor('int32', convShape(c, { x: 0, w: 1 }))],
    cost: (c) => convCost(c, 1),
    // Input 3 is the zero point, one for all channels or one for each.
    axes: convAxes({ bias: 3 }),
    resize: resizeConv(),
  },
  {
    op: 'QLinearConv',
    infer: (c) => [tensor(c.dtype(7), convShape(c, { x: 0, w: 3 }))],
    cost: (c) => convCost(c, 3),
    axes: convAxes({ weight: 3, bias: 8, perChannel: [4, 5] }),
    resize: resizeConv({ weight: 3 }),
  },
  {
    op: 'DeformConv',
    infer: (c) => [tensor(c.dtype(0), convShape(c, { x: 0, w: 1 }))],
    cost: (c) => convCost(c, 1),
  },
  {
    op: 'ConvTranspose',
    infer: (c) => [tensor(c.dtype(0) ?? c.dtype(1), transposedShape(c))],
    cost: transposedCost,
    axes: convAxes({ transposed: true }),
    resize: resizeConv({ transposed: true }),
  },
  {
    // [N, C * b1 * …, L] → [N, C, i1 …]
    op: 'Col2Im',
    infer(c) {
      const x = c.shape(0);
      const [image, block] = [c.known(1), c.known(2)];
      const spatial = image ?? (c.shape(1)?.[0] as number | undefined);
      if (spatial === undefined) return [tensor(c.dtype(0), undefined)];
      const dims = typeof spatial === 'object' ? spatial : undefined;
      const rank = dims?.length ?? (typeof spatial === 'number' ? spatial : undefined);
      if (rank === undefined) return [tensor(c.dtype(0), undefined)];
      const channels =
        x?.[1] !== undefined && block ? floorDiv(x[1], product(block)) : unknownDim();
      return [
        tensor(c.dtype(0), [x?.[0] ?? unknownDim(), channels, ...(dims ?? unknownDims(rank))]),
      ];
    },
    cost: (c) => {
      const x = c.shape(0);
      return x && product(x);
    },
  },
);
