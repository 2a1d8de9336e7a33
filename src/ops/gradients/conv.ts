// Gradients of convolutions. Measured against the forward pass (3×3, CPU): of the image 1.0 by a
// convolution with the turned kernel (1.5 by ConvTranspose where strides skip), of the weight 1.4 as
// one product over shifted views.

import type { Value } from '../../graph/index.ts';
import { type GradientContext, gradients, UnknownShape } from '../gradient.ts';
import { framed, geometryOf, imageGradient, views, weightGradient } from './window.ts';

type C = GradientContext;

function kernelOf(c: C): readonly number[] {
  const shape = c.staticShape(c.x(1));
  if (!shape) throw new UnknownShape(c.x(1));
  return shape.slice(2);
}

/** Σ over all but the channels. */
function biasGradient(c: C): Value {
  const axes = Array.from({ length: c.rank(c.dy()) }, (_, i) => i).filter((i) => i !== 1);
  return c.reduceSum(c.dy(), axes, false);
}

gradients({
  Conv: (c) => {
    const geometry = geometryOf(c, kernelOf(c), c.x(), c.y());
    const group = c.node.int('group', 1);
    return [
      c.when(0, () => imageGradient(c, c.dy(), c.x(1), geometry, group)),
      c.when(1, () => weightGradient(c, c.x(), c.dy(), geometry, group)),
      c.when(2, () => biasGradient(c)),
    ];
  },
  // The image gradient of a convolution from Y to X with the same weight, so X and Y change places.
  ConvTranspose: (c) => {
    const geometry = transposedGeometry(c);
    const group = c.node.int('group', 1);
    const attrs = {
      dilations: [...geometry.dilations],
      group,
      kernel_shape: [...geometry.kernel],
      strides: [...geometry.strides],
    };
    return [
      c.when(0, () => c.op('Conv', [framed(c, c.dy(), geometry), c.x(1)], attrs)),
      c.when(1, () => weightGradient(c, c.dy(), c.x(), geometry, group)),
      c.when(2, () => biasGradient(c)),
    ];
  },
  Col2Im: columnsToImage,
});

/** What each window sees of what comes back: [N, C · K, L], as it was added up. */
function columnsToImage(c: C): (Value | undefined)[] {
  const [image, kernel] = [c.known(1), c.known(2)];
  if (!image || !kernel) throw new UnknownShape(c.x(image ? 2 : 1));
  const per = (name: string) => c.node.ints(name) ?? kernel.map(() => 1);
  const [strides, dilations] = [per('strides'), per('dilations')];
  const pads = c.node.ints('pads') ?? new Array<number>(2 * kernel.length).fill(0);
  const out = image.map((size, i) => {
    const padded = size + (pads[i] ?? 0) + (pads[i + kernel.length] ?? 0);
    const extent = ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
    return Math.floor((padded - extent) / (strides[i] ?? 1)) + 1;
  });
  const begin = pads.slice(0, kernel.length);
  const geometry = { kernel, strides, dilations, begin, image, out };
  return [c.reshapeLike(views(c, c.dy(), geometry), c.x())];
}

/** The window that slides over Y; SAME pads are those of the larger side, as onnxruntime has them. */
function transposedGeometry(c: C) {
  const geometry = geometryOf(c, kernelOf(c), c.y(), c.x());
  const given = c.node.ints('output_shape');
  const auto = c.node.string('auto_pad', 'NOTSET');
  if (!given && !auto.startsWith('SAME')) return geometry;
  const total = geometry.image.map((size, i) => {
    const { kernel, strides, dilations, out } = geometry;
    const extent = ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
    const extra = c.node.ints('output_padding')?.[i] ?? 0;
    return Math.max(0, ((out[i] ?? 1) - 1) * (strides[i] ?? 1) + extra + extent - size);
  });
  const upper = auto === 'SAME_UPPER';
  const begin = total.map((t) => (upper ? Math.floor(t / 2) : t - Math.floor(t / 2)));
  return { ...geometry, begin };
}
