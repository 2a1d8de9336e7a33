// Gradients of pooling: spread over the window, or to the element that won.

import type { Value } from '../../graph/index.ts';
import { dtypeInfo } from '../../tensor/dtype.ts';
import { type GradientContext, gradients, UnknownShape } from '../gradient.ts';
import { type Geometry, geometryOf, sizeOf, transposedConv } from './window.ts';

type C = GradientContext;

function shapeOf(c: C, value: Value): readonly number[] {
  const shape = c.staticShape(value);
  if (!shape) throw new UnknownShape(value);
  return shape;
}

function poolGeometry(c: C): Geometry {
  return geometryOf(c, c.node.ints('kernel_shape') ?? [], c.x(), c.y());
}

/** What comes back, put at the winners' places; the operator's second output says where they are. */
function maxPool(c: C): (Value | undefined)[] {
  const shape = shapeOf(c, c.x());
  const indices = c.extraOutput(1, 'indices');
  const flat = (value: Value) => c.op('Reshape', [value, c.ints([-1])]);
  // onnxruntime adds up no halves.
  const isHalf = c.dy().dtype === 'float16';
  const dy = isHalf ? c.op('Cast', [c.dy()], { to: dtypeInfo('float32').code }) : c.dy();
  const zeros = c.op('Expand', [c.scalar(0, dy), c.ints([sizeOf(shape)])]);
  const attrs = { axis: 0, reduction: 'add' };
  const sum = c.op('ScatterElements', [zeros, flat(indices), flat(dy)], attrs);
  const dx = c.op('Reshape', [sum, c.ints(shape)]);
  return [isHalf ? c.op('CastLike', [dx, c.dy()]) : dx];
}

/** Each element of a window gets the same: a transposed convolution with ones, channel by channel. */
function spread(c: C, value: Value, g: Geometry): Value {
  const [n = 1, channels = 1] = shapeOf(c, c.x());
  const single = c.op('Reshape', [value, c.ints([n * channels, 1, ...g.out])]);
  const ones = c.floats([1, 1, ...g.kernel], new Float64Array(sizeOf(g.kernel)).fill(1), value);
  const full = transposedConv(c, single, ones, g, 1);
  return c.op('Reshape', [full, c.ints(shapeOf(c, c.x()))]);
}

/** Elements that each position averages, along one axis. */
function counts(c: C, g: Geometry, axis: number): number[] {
  const at = (list: readonly number[]) => list[axis] ?? 0;
  const [k, stride, dilation, begin] = [g.kernel, g.strides, g.dilations, g.begin].map(at);
  const isPadCounted = c.node.int('count_include_pad', 0) !== 0;
  const ends = c.node.ints('pads')?.[axis + g.kernel.length] ?? 0;
  const [low, high] = isPadCounted ? [-(begin ?? 0), at(g.image) + ends] : [0, at(g.image)];
  return Array.from({ length: at(g.out) }, (_, o) => {
    let count = 0;
    for (let i = 0; i < (k ?? 0); i++) {
      const place = o * (stride ?? 1) - (begin ?? 0) + i * (dilation ?? 1);
      if (place >= low && place < high) count += 1;
    }
    return Math.max(1, count);
  });
}

function averagePool(c: C): (Value | undefined)[] {
  const g = poolGeometry(c);
  const perAxis = g.kernel.map((_, axis) => counts(c, g, axis));
  let total: number[] = [1];
  for (const list of perAxis) total = total.flatMap((a) => list.map((b) => a * b));
  const shares = Float64Array.from(total, (count) => 1 / count);
  return [spread(c, c.mul(c.dy(), c.floats([1, 1, ...g.out], shares, c.dy())), g)];
}

/** y = (Σ |x|^p)^(1/p): x |x|^(p-2) times y^(1-p) dy. */
function lpSlope(c: C, p: number, spreadOut: (value: Value) => Value): Value {
  const power = (value: Value, exponent: number) =>
    exponent === 0 ? undefined : c.op('Pow', [value, c.scalar(exponent, value)]);
  const root = power(c.y(), 1 - p);
  const back = spreadOut(root ? c.mul(c.dy(), root) : c.dy());
  const size = power(c.op('Abs', [c.x()]), p - 1);
  const sign = c.op('Sign', [c.x()]);
  return c.mul(back, size ? c.mul(sign, size) : sign);
}

function spatialAxes(c: C): number[] {
  return Array.from({ length: c.rank(c.x()) - 2 }, (_, i) => i + 2);
}

gradients({
  MaxPool: maxPool,
  // Its indices count through all of the result.
  MaxUnpool: (c) => [c.op('Gather', [c.op('Reshape', [c.dy(), c.ints([-1])]), c.x(1)])],
  NonMaxSuppression: 'stop',
  AveragePool: averagePool,
  LpPool: (c) => [lpSlope(c, c.node.int('p', 2), (value) => spread(c, value, poolGeometry(c)))],
  GlobalAveragePool: (c) => {
    const shape = shapeOf(c, c.x());
    const scaled = c.scale(c.dy(), 1 / sizeOf(shape.slice(2)));
    return [c.op('Expand', [scaled, c.ints(shape)])];
  },
  // Winners share, as in ReduceMax.
  GlobalMaxPool: (c) => {
    const isBest = c.mask(c.op('Equal', [c.x(), c.y()]), c.x());
    const ties = c.reduceSum(isBest, spatialAxes(c), true);
    return [c.mul(c.div(isBest, ties), c.dy())];
  },
  GlobalLpPool: (c) => [lpSlope(c, c.node.int('p', 2), (value) => value)],
});
