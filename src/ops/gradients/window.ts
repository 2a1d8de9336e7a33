// What the gradients of convolutions and pooling have in common: where a window lies, and the sums
// over its positions. One axis: out positions, each stride apart, see extent = (k - 1) dilation + 1
// elements, the first of them `begin` before the image.

import type { Value } from '../../graph/index.ts';
import { type GradientContext, UnknownShape } from '../gradient.ts';

type C = GradientContext;

export interface Geometry {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begin: readonly number[];
  /** Sizes of the image and of what the window made of it. */
  readonly image: readonly number[];
  readonly out: readonly number[];
}

/** The window of a node's attributes over an image [N, C, …] with the result [N, M, …]. */
export function geometryOf(c: C, kernel: readonly number[], image: Value, result: Value): Geometry {
  const [from, to] = [c.staticShape(image)?.slice(2), c.staticShape(result)?.slice(2)];
  if (!from || !to) throw new UnknownShape(from ? result : image);
  const list = (name: string) => {
    const given = c.node.ints(name);
    return given && given.length > 0 ? given : kernel.map(() => 1);
  };
  const [strides, dilations] = [list('strides'), list('dilations')];
  const auto = c.node.string('auto_pad', 'NOTSET');
  const pads = c.node.ints('pads') ?? [];
  const begin = kernel.map((k, i) => {
    if (!auto.startsWith('SAME')) return auto === 'VALID' ? 0 : (pads[i] ?? 0);
    const extent = (k - 1) * (dilations[i] ?? 1) + 1;
    const reach = ((to[i] ?? 1) - 1) * (strides[i] ?? 1) + extent;
    const total = Math.max(0, reach - (from[i] ?? 1));
    return auto === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
  });
  return { kernel, strides, dilations, begin, image: from, out: to };
}

export function extents({ kernel, dilations }: Geometry): number[] {
  return kernel.map((k, i) => (k - 1) * (dilations[i] ?? 1) + 1);
}

/** Elements from the first one that any window sees to the last one. */
export function reaches(g: Geometry): number[] {
  const extent = extents(g);
  return g.out.map((out, i) => (out - 1) * (g.strides[i] ?? 1) + (extent[i] ?? 1));
}

export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** All positions of a kernel, in row-major order. */
function* positions(kernel: readonly number[]): Generator<number[]> {
  const [first, ...rest] = kernel;
  if (first === undefined) {
    yield [];
    return;
  }
  for (let i = 0; i < first; i++) for (const tail of positions(rest)) yield [i, ...tail];
}

/** The image padded, or cut, to just what the windows see. */
export function framed(c: C, image: Value, g: Geometry): Value {
  const after = reaches(g).map((reach, i) => reach - (g.begin[i] ?? 0) - (g.image[i] ?? 0));
  if ([...g.begin, ...after].every((n) => n === 0)) return image;
  return c.op('Pad', [image, c.ints([0, 0, ...g.begin, 0, 0, ...after])]);
}

/** [N, C, …] → [N, C, K, L]: what each of the K window elements sees at the L positions. */
export function views(c: C, image: Value, g: Geometry): Value {
  const [n = 1, channels = 1] = c.staticShape(image) ?? [];
  return stackedViews(c, image, g, [n, channels, 1, sizeOf(g.out)], 2);
}

/** What each window element sees of [a, b, …], each in a shape, one after the other along an axis. */
function stackedViews(
  c: C,
  image: Value,
  g: Geometry,
  shape: readonly number[],
  axis: number,
): Value {
  const flat = c.ints(shape);
  const frame = framed(c, image, g);
  const axes = c.ints(g.kernel.map((_, i) => i + 2));
  const steps = c.ints(g.strides);
  const seen = [...positions(g.kernel)].map((position) => {
    const starts = position.map((p, i) => p * (g.dilations[i] ?? 1));
    const ends = starts.map((s, i) => s + ((g.out[i] ?? 1) - 1) * (g.strides[i] ?? 1) + 1);
    const isAll = starts.every(
      (s, i) => s === 0 && ends[i] === reaches(g)[i] && g.strides[i] === 1,
    );
    const part = isAll ? frame : c.op('Slice', [frame, c.ints(starts), c.ints(ends), axes, steps]);
    return c.op('Reshape', [part, flat]);
  });
  return seen.length === 1 ? (seen[0] as Value) : c.op('Concat', seen, { axis });
}

/**
 * Gradient of a convolution's weight: Σ over samples and positions of what the window sees times what
 * comes back. Image [N, C, …], signal [N, M, …] → [M, C/group, k…].
 */
export function weightGradient(
  c: C,
  image: Value,
  signal: Value,
  g: Geometry,
  group: number,
): Value {
  const [n = 1, channels = 1] = c.staticShape(image) ?? [];
  const filters = c.staticShape(signal)?.[1] ?? 1;
  // With the samples beside the positions it is one product over both.
  const count = n * sizeOf(g.out);
  const first = (value: Value) => {
    const others = Array.from({ length: c.rank(value) - 2 }, (_, i) => i + 2);
    return c.transpose(value, [1, 0, ...others]);
  };
  const seen = stackedViews(c, first(image), g, [channels, 1, count], 1);
  const grouped = (value: Value, rows: number) =>
    c.op('Reshape', [value, c.ints(group === 1 ? [rows, count] : [group, rows / group, count])]);
  const left = grouped(first(signal), filters);
  const right = grouped(seen, channels * sizeOf(g.kernel));
  const sum =
    group === 1
      ? c.op('Gemm', [left, right], { transB: 1 })
      : c.matmul(left, c.transposeLast(right));
  return c.op('Reshape', [sum, c.ints([filters, channels / group, ...g.kernel])]);
}

/** Gradient of a convolution's image. Signal [N, M, …], weight [M, C/group, k…] → [N, C, …]. */
export function imageGradient(
  c: C,
  signal: Value,
  weight: Value,
  g: Geometry,
  group: number,
): Value {
  const extent = extents(g);
  const before = extent.map((e, i) => e - 1 - (g.begin[i] ?? 0));
  const after = extent.map(
    (e, i) => (g.image[i] ?? 0) - (g.out[i] ?? 0) - (before[i] ?? 0) + e - 1,
  );
  const canFlip = g.strides.every((s) => s === 1) && [...before, ...after].every((p) => p >= 0);
  if (!canFlip) return transposedConv(c, signal, weight, g, group);
  const [filters = 1, inner = 1] = c.staticShape(weight) ?? [];
  const flipped = c.ints(g.kernel.map(() => -1));
  const past = c.ints(g.kernel.map((k) => -k - 1));
  const axes = c.ints(g.kernel.map((_, i) => i + 2));
  const isPoint = sizeOf(g.kernel) === 1;
  const turned = isPoint ? weight : c.op('Slice', [weight, flipped, past, axes, flipped]);
  const spatial = g.kernel.map((_, i) => i + 3);
  const grouped = c.op('Reshape', [turned, c.ints([group, filters / group, inner, ...g.kernel])]);
  const swapped = c.transpose(grouped, [0, 2, 1, ...spatial]);
  const kernel = c.op('Reshape', [swapped, c.ints([group * inner, filters / group, ...g.kernel])]);
  return c.op('Conv', [signal, kernel], {
    dilations: [...g.dilations],
    group,
    kernel_shape: [...g.kernel],
    pads: [...before, ...after],
  });
}

/** By ConvTranspose without pads; the result is cut or filled up to the image's size. */
export function transposedConv(
  c: C,
  signal: Value,
  weight: Value,
  g: Geometry,
  group: number,
): Value {
  const full = c.op('ConvTranspose', [signal, weight], {
    dilations: [...g.dilations],
    group,
    kernel_shape: [...g.kernel],
    strides: [...g.strides],
  });
  const before = g.begin.map((b) => 0 - b);
  const after = reaches(g).map((reach, i) => (g.image[i] ?? 0) - reach + (g.begin[i] ?? 0));
  if ([...before, ...after].every((n) => n === 0)) return full;
  return c.op('Pad', [full, c.ints([0, 0, ...before, 0, 0, ...after])]);
}
