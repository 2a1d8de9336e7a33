// Gradients of operators that move elements: what comes back is moved the other way.

import type { Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { type GradientContext, type GradientRule, gradients, UnknownShape } from '../gradient.ts';

type C = GradientContext;

const reshaped: GradientRule = (c) => [c.reshapeLike(c.dy(), c.x())];

function transposed(c: C): (Value | undefined)[] {
  const rank = c.rank(c.x());
  const perm = c.node.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const inverse = perm.map((_, i) => perm.indexOf(i));
  return [c.transpose(c.dy(), inverse)];
}

function axisOf(c: C, rank: number, otherwise: number): number {
  const axis = c.node.int('axis', otherwise);
  return axis < 0 ? axis + rank : axis;
}

/** Sizes of values along an axis, as an int64 vector. */
function sizesAlong(c: C, values: readonly Value[], axis: number): Value {
  const sizes = values.map((value) => value.shape?.[axis]);
  if (sizes.every((size) => typeof size === 'number')) return c.ints(sizes as number[]);
  const each = values.map((v) => c.op('Shape', [v], { start: axis, end: axis + 1 }));
  return c.op('Concat', each, { axis: 0 });
}

function concat(c: C): (Value | undefined)[] {
  const inputs = c.node.inputs.map((_, i) => c.x(i));
  if (inputs.length === 1) return [c.dy()];
  const axis = axisOf(c, c.rank(c.y()), 0);
  return c.ops('Split', [c.dy(), sizesAlong(c, inputs, axis)], inputs.length, { axis });
}

function split(c: C): (Value | undefined)[] {
  const axis = axisOf(c, c.rank(c.x()), 0);
  const parts = c.node.outputs.map((_, i) => c.dy(i));
  return [parts.length === 1 ? c.dy() : c.op('Concat', parts, { axis })];
}

/** Puts dy back at the given positions of an axis of `size`, adding up what meets. */
export function scatterAxis(
  c: C,
  dy: Value,
  axis: number,
  size: number,
  positions: readonly number[],
): Value {
  const shape = c.staticShape(dy);
  if (!shape) throw new UnknownShape(dy);
  const zeros = c.op('Expand', [
    c.scalar(0, dy),
    c.ints(shape.map((dim, i) => (i === axis ? size : dim))),
  ]);
  const aligned = shape.map((_, i) => (i === axis ? positions.length : 1));
  const indices = c.op('Expand', [
    c.g.constant('positions', Tensor.int64(positions).reshape(aligned)),
    c.ints(shape),
  ]);
  const isUnique = new Set(positions).size === positions.length;
  const reduction = isUnique ? 'none' : 'add';
  return c.op('ScatterElements', [zeros, indices, dy], { axis, reduction });
}

/** Positions that a slice takes, by axis. ONNX specification, Slice. */
function slices(c: C): Map<number, number[]> {
  const rank = c.rank(c.x());
  const required = (index: number) => {
    const values = c.known(index);
    if (!values) throw new UnknownShape(c.x(index));
    return values;
  };
  const [starts, ends] = [required(1), required(2)];
  const axes = c.has(3) ? required(3) : starts.map((_, i) => i);
  const steps = c.has(4) ? required(4) : starts.map(() => 1);
  const taken = new Map<number, number[]>();
  for (const [i, given] of axes.entries()) {
    const axis = given < 0 ? given + rank : given;
    const size = c.x().shape?.[axis];
    if (typeof size !== 'number') throw new UnknownShape(c.x());
    taken.set(axis, positionsOf(size, starts[i] ?? 0, ends[i] ?? 0, steps[i] ?? 1));
  }
  return taken;
}

function positionsOf(size: number, start: number, end: number, step: number): number[] {
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number) => Math.min(high, Math.max(low, at < 0 ? at + size : at));
  const [from, to] = [Math.min(clamp(start), size - 1), clamp(end)];
  const positions: number[] = [];
  if (step > 0) for (let i = clamp(start); i < to; i += step) positions.push(i);
  else for (let i = from; i > to; i += step) positions.push(i);
  return positions;
}

function slice(c: C): (Value | undefined)[] {
  const taken = slices(c);
  const rank = c.rank(c.x());
  const shape = c.x().shape ?? [];
  const before = new Array<number>(rank).fill(0);
  const after = new Array<number>(rank).fill(0);
  let dy = c.dy();
  for (const [axis, positions] of taken) {
    const size = shape[axis] as number;
    const first = positions[0] ?? 0;
    const isRun = positions.every((at, i) => at === first + i);
    if (isRun) {
      before[axis] = first;
      after[axis] = size - first - positions.length;
    } else dy = scatterAxis(c, dy, axis, size, positions);
  }
  if ([...before, ...after].every((n) => n === 0)) return [dy];
  return [c.op('Pad', [dy, c.ints([...before, ...after])])];
}

/** Where each element of a padded axis comes from; undefined: from outside. */
function sourceOf(mode: string, at: number, size: number): number {
  if (mode === 'edge') return Math.min(size - 1, Math.max(0, at));
  if (mode === 'wrap') return ((at % size) + size) % size;
  const period = Math.max(1, 2 * (size - 1));
  const folded = ((at % period) + period) % period;
  return folded < size ? folded : period - folded;
}

function pad(c: C): (Value | undefined)[] {
  const pads = c.known(1);
  if (!pads) throw new UnknownShape(c.x(1));
  const rank = c.rank(c.x());
  const axes = c.has(3) ? c.known(3) : Array.from({ length: rank }, (_, i) => i);
  if (!axes) throw new UnknownShape(c.x(3));
  const [before, after] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)];
  for (const [i, given] of axes.entries()) {
    const axis = given < 0 ? given + rank : given;
    before[axis] = pads[i] ?? 0;
    after[axis] = pads[i + axes.length] ?? 0;
  }
  const mode = c.node.string('mode', 'constant');
  if (mode === 'constant') {
    return [c.op('Pad', [c.dy(), c.ints([...before, ...after].map((n) => (n === 0 ? 0 : -n)))])];
  }
  let dy = c.dy();
  for (let axis = 0; axis < rank; axis++) {
    const size = c.x().shape?.[axis];
    if (before[axis] === 0 && after[axis] === 0) continue;
    if (typeof size !== 'number') throw new UnknownShape(c.x());
    const [b = 0, a = 0] = [before[axis], after[axis]];
    const positions = Array.from({ length: b + size + a }, (_, i) => sourceOf(mode, i - b, size));
    dy = scatterAxis(c, dy, axis, size, positions);
  }
  return [dy];
}

/** [r1·d1, r2·d2 …] as [r1, d1, r2, d2 …], summed over the repeats. */
function tile(c: C): (Value | undefined)[] {
  const repeats = c.known(1);
  const shape = c.staticShape(c.x());
  if (!repeats || !shape) throw new UnknownShape(repeats ? c.x() : c.x(1));
  const pairs = shape.flatMap((dim, i) => [repeats[i] ?? 1, dim]);
  const apart = c.op('Reshape', [c.dy(), c.ints(pairs)]);
  const axes = shape.map((_, i) => 2 * i);
  return [c.reduceSum(apart, axes, false)];
}

/** The other of the two, in the same order of elements. */
function depthToSpace(c: C): (Value | undefined)[] {
  const size = c.node.int('blocksize', 1);
  const isColumnRowDepth = c.node.string('mode', 'DCR') === 'CRD';
  if (!isColumnRowDepth) return [c.op('SpaceToDepth', [c.dy()], { blocksize: size })];
  const shape = c.staticShape(c.x());
  if (!shape) throw new UnknownShape(c.x());
  const [n = 1, depth = 1, h = 1, w = 1] = shape;
  const apart = c.ints([n, depth / (size * size), h, size, w, size]);
  const moved = c.transpose(c.op('Reshape', [c.dy(), apart]), [0, 1, 3, 5, 2, 4]);
  return [c.op('Reshape', [moved, c.ints(shape)])];
}

/**
 * Resize is linear and works axis by axis: along each one it is a matrix, which resizing the identity
 * makes. ONNX specification, Resize.
 */
function resize(c: C): (Value | undefined)[] {
  const [from, to] = [c.staticShape(c.x()), c.staticShape(c.y())];
  if (!from || !to) throw new UnknownShape(from ? c.y() : c.x());
  let dy = c.dy();
  for (const [axis, size] of from.entries()) {
    const target = to[axis] ?? size;
    if (size === target) continue;
    const rank = from.length;
    const last = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis);
    const perm = [...last, axis];
    const product = c.matmul(c.transpose(dy, perm), resizeMatrix(c, axis, size, target));
    dy = c.transpose(
      product,
      perm.map((_, i) => perm.indexOf(i)),
    );
  }
  return [dy];
}

/** [target, size]: the identity, its columns resized, transposed. */
function resizeMatrix(c: C, axis: number, size: number, target: number): Value {
  const eye = new Float64Array(size * size);
  for (let i = 0; i < size; i++) eye[i * size + i] = 1;
  const identity = c.floats([1, 1, size, size], eye, c.dy());
  const scales = c.known(2) ?? undefined;
  const given = c.node.inputs[2] ? c.constantNumbers(2) : scales;
  const bySize = c.has(3) || !given?.length;
  const inputs = bySize
    ? [identity, undefined, undefined, c.ints([1, 1, size, target])]
    : [identity, undefined, c.singles([1, 1, 1, given[given.length - c.rank(c.x()) + axis] ?? 1])];
  const kept = ['mode', 'coordinate_transformation_mode', 'nearest_mode', 'cubic_coeff_a'];
  const attrs = Object.fromEntries(
    [...kept, 'exclude_outside', 'extrapolation_value'].flatMap((name) => {
      const attr = c.node.attrs.get(name);
      return attr ? [[name, attr]] : [];
    }),
  );
  const matrix = c.op('Resize', inputs, attrs);
  return c.transpose(c.op('Reshape', [matrix, c.ints([size, target])]), [1, 0]);
}

function cumulative(c: C): (Value | undefined)[] {
  const [exclusive, reverse] = [c.node.int('exclusive', 0), c.node.int('reverse', 0)];
  return [c.op('CumSum', [c.dy(), c.x(1)], { exclusive, reverse: 1 - reverse })];
}

gradients({
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: transposed,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Tile: tile,
  // The walker sums over what was stretched.
  Expand: (c) => [c.dy()],
  DepthToSpace: depthToSpace,
  SpaceToDepth: (c) => [
    c.op('DepthToSpace', [c.dy()], { blocksize: c.node.int('blocksize', 1), mode: 'DCR' }),
  ],
  Resize: resize,
  CumSum: cumulative,
  // Cutting and filling up are each other's transposes.
  CenterCropPad: (c) => {
    const axes = c.node.ints('axes') ?? Array.from({ length: c.rank(c.x()) }, (_, i) => i);
    const sizes = c.op('Gather', [c.shapeOf(c.x()), c.ints(axes)]);
    return [c.op('CenterCropPad', [c.dy(), sizes], { axes })];
  },
  ReverseSequence: (c) => {
    const [batch_axis, time_axis] = [c.node.int('batch_axis', 1), c.node.int('time_axis', 0)];
    return [c.op('ReverseSequence', [c.dy(), c.x(1)], { batch_axis, time_axis })];
  },
  Trilu: (c) => [
    c.op('Trilu', c.has(1) ? [c.dy(), c.x(1)] : [c.dy()], { upper: c.node.int('upper', 1) }),
  ],
  Shape: 'stop',
  Size: 'stop',
  ConstantOfShape: 'stop',
  EyeLike: 'stop',
  NonZero: 'stop',
  Range: 'stop',
  OneHot: 'stop',
  RandomNormalLike: 'stop',
  RandomUniformLike: 'stop',
  Bernoulli: 'stop',
});
