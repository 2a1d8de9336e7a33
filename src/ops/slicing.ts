// Operators that join and cut along axes: Concat, Split, Slice, Pad, CenterCropPad, Compress …

import {
  add,
  atLeast,
  ceilDiv,
  type Dim,
  floorDiv,
  isNonNegative,
  max,
  min,
  mul,
  product,
  type Shape,
  sub,
  unknownDim,
} from '../graph/index.ts';
import { passAxes } from './axes/same.ts';
import {
  concatAxes,
  padAxes,
  resizePad,
  resizeSlice,
  resizeSplit,
  sliceAxes,
  splitAxes,
} from './axes/slicing.ts';
import type { InferContext } from './context.ts';
import { sameAs } from './elementwise.ts';
import { elementsOrOpen } from './known.ts';
import { define, type Inferred, tensor } from './op.ts';

function concat(c: InferContext): Inferred {
  const { inputs } = c.node;
  const dtype = inputs.find((value) => value?.dtype)?.dtype;
  const ranked = inputs.find((value) => value?.shape)?.shape;
  if (!ranked) return tensor(dtype, undefined);
  const axis = c.axis(c.node.int('axis', 1), ranked.length);
  const dims: Dim[] = [...ranked];
  dims[axis] = 0;
  for (let i = 0; i < inputs.length; i++) {
    const shape = c.shape(i);
    if (!shape) {
      dims[axis] = unknownDim();
      break;
    }
    checkConcat(c, ranked, shape, axis);
    dims[axis] = add(dims[axis] as Dim, shape[axis] as Dim);
    // A number says more than a name, and all inputs agree off the axis.
    shape.forEach((dim, j) => {
      if (j !== axis && typeof dim === 'number') dims[j] = dim;
    });
  }
  const parts = inputs.map((_, i) => elementsOrOpen(c, i));
  const known =
    ranked.length === 1 && parts.every((p) => p) ? parts.flatMap((p) => p ?? []) : undefined;
  return tensor(dtype, dims, known);
}

function checkConcat(c: InferContext, first: Shape, shape: Shape, axis: number): void {
  const clash = shape.some((dim, j) => {
    const other = first[j];
    return j !== axis && typeof dim === 'number' && typeof other === 'number' && dim !== other;
  });
  if (clash || shape.length !== first.length) {
    c.fail(`Concat cannot join [${first.join(', ')}] and [${shape.join(', ')}] along axis ${axis}`);
  }
}

function split(c: InferContext): Inferred[] {
  const shape = c.shape(0);
  const { outputs } = c.node;
  if (!shape) return outputs.map(() => tensor(c.dtype(0), undefined));
  const axis = c.axis(c.node.int('axis', 0), shape.length);
  const sizes = splitSizes(c, shape[axis] as Dim, outputs.length);
  const known = shape.length === 1 ? c.known(0) : undefined;
  let at = 0;
  return sizes.map((size) => {
    const dims = shape.map((dim, i) => (i === axis ? size : dim));
    const part = known && typeof size === 'number' ? known.slice(at, at + size) : undefined;
    at += typeof size === 'number' ? size : Number.NaN;
    return tensor(c.dtype(0), dims, part);
  });
}

function splitSizes(c: InferContext, whole: Dim, count: number): readonly Dim[] {
  const given = c.node.ints('split') ?? c.known(1);
  if (given && given.length > 0) {
    if (given.length !== count) c.fail(`Split has ${given.length} sizes for ${count} outputs`);
    return given;
  }
  if (c.has(1)) return Array.from({ length: count }, unknownDim);
  if (c.opset < 18) return Array.from({ length: count }, () => floorDiv(whole, count));
  // The last part is smaller where it does not divide.
  const part = ceilDiv(whole, count);
  const last = sub(whole, mul(part, count - 1));
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? last : part));
}

/** No axis is this long: bounds beyond it mean its end. */
const TO_THE_END = 2 ** 30;

interface Cut {
  readonly axis: number;
  readonly start: Dim | undefined;
  readonly end: Dim | undefined;
  readonly step: Dim | undefined;
}

/** Starts, ends, axes and steps: attributes until opset 9, inputs since. */
function cutsOf(c: InferContext, rank: number): readonly Cut[] | undefined {
  const old = c.node.ints('starts');
  const starts = old ?? c.known(1);
  const ends = old ? c.node.ints('ends') : c.known(2);
  const count = starts?.length ?? ends?.length ?? knownLength(c, 1) ?? knownLength(c, 2);
  const axes = old ? c.node.ints('axes') : c.has(3) ? c.knownNumbers(3) : undefined;
  if (c.has(3) && !axes) return undefined;
  const number = axes?.length ?? count;
  if (number === undefined) return undefined;
  const steps = c.has(4) ? c.known(4) : undefined;
  return Array.from({ length: number }, (_, i) => ({
    axis: c.axis(axes?.[i] ?? i, rank),
    start: starts?.[i],
    end: ends?.[i],
    step: c.has(4) ? steps?.[i] : 1,
  }));
}

function knownLength(c: InferContext, index: number): number | undefined {
  const length = c.shape(index)?.[0];
  return typeof length === 'number' ? length : undefined;
}

/**
 * A bound counted from the front, no higher than the size; it may be below 0, where the front is
 * meant. A symbolic one is taken to lie within the axis. Undefined where even its sign is open.
 */
function bound(value: Dim, size: Dim): Dim | undefined {
  if (typeof value === 'number' && value < 0) return add(size, value);
  if (typeof value === 'number') return atLeast(size) >= value ? value : min(value, size);
  // The size less or more something, or plainly positive.
  const difference = sub(size, value);
  if (typeof difference === 'number' && difference < 0) return size;
  return isNonNegative(value) || atLeast(value) >= 0 ? value : undefined;
}

function slicedDim(size: Dim, cut: Cut): Dim {
  const { start, end, step } = cut;
  if (start === undefined || end === undefined || typeof step !== 'number' || step === 0)
    return unknownDim();
  if (step < 0) return reversedDim(size, start, end, step);
  // One beyond the end leaves nothing, as a length below 0 does.
  const from = typeof start === 'number' && start >= 0 ? start : bound(start, size);
  const isWhole = typeof end === 'number' && end > TO_THE_END;
  const to = isWhole ? size : bound(end, size);
  if (from === undefined || to === undefined) return unknownDim();
  // to - max(from, 0)
  const length = atLeast(from) >= 0 ? sub(to, from) : min(sub(to, from), to);
  // A size that a single element is cut from is taken to have one: [1:] of n is n - 1.
  return ceilDiv(atLeast(length) >= 0 ? length : max(length, 0), step);
}

function reversedDim(size: Dim, start: Dim, end: Dim, step: number): Dim {
  if (typeof start !== 'number' || typeof end !== 'number') return unknownDim();
  if (typeof size !== 'number') {
    // Only the whole axis, backwards, is clear without its size.
    return step === -1 && (start === -1 || start > TO_THE_END) && end < -TO_THE_END
      ? size
      : unknownDim();
  }
  const from = Math.min(Math.max(start < 0 ? start + size : start, 0), size - 1);
  const to = Math.min(Math.max(end < 0 ? end + size : end, -1), size - 1);
  return Math.max(0, Math.ceil((to - from) / step));
}

function slice(c: InferContext): Inferred {
  const shape = c.shape(0);
  if (!shape) return tensor(c.dtype(0), undefined);
  const cuts = cutsOf(c, shape.length);
  if (!cuts) return tensor(c.dtype(0), shape.map(unknownDim));
  const dims = [...shape];
  for (const cut of cuts) dims[cut.axis] = slicedDim(shape[cut.axis] as Dim, cut);
  return tensor(c.dtype(0), dims, slicedKnown(c, cuts));
}

/** The elements that are left of a vector, or of a matrix whose rows are cut. */
function slicedKnown(c: InferContext, cuts: readonly Cut[]): readonly Dim[] | undefined {
  const known = c.known(0);
  const [cut] = cuts;
  const rank = c.rank(0) ?? 0;
  if (!known || rank < 1 || rank > 2 || cuts.length !== 1 || cut?.axis !== 0) return undefined;
  const width = rank === 2 ? c.shape(0)?.[1] : 1;
  const { start, end, step } = cut;
  if (typeof start !== 'number' || typeof end !== 'number' || typeof step !== 'number')
    return undefined;
  if (typeof width !== 'number' || width === 0 || step === 0) return undefined;
  const rows = pickedRows(known.length / width, start, end, step);
  return rows.flatMap((row) => known.slice(row * width, (row + 1) * width));
}

function pickedRows(size: number, start: number, end: number, step: number): number[] {
  const clamp = (i: number, low: number, high: number) =>
    Math.min(Math.max(i < 0 ? i + size : i, low), high);
  const isForward = step > 0;
  const first = isForward ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const last = isForward ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  const rows: number[] = [];
  for (let i = first; isForward ? i < last : i > last; i += step) rows.push(i);
  return rows;
}

function padded(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  if (!shape) return undefined;
  const pads = c.node.ints('pads') ?? c.node.ints('paddings') ?? c.known(1);
  const axes = c.has(3) ? c.knownNumbers(3) : shape.map((_, i) => i);
  if (!pads || !axes) return shape.map(unknownDim);
  if (pads.length !== 2 * axes.length) {
    c.fail(`Pad needs ${2 * axes.length} pads for ${axes.length} axes, but has ${pads.length}`);
  }
  const dims = [...shape];
  axes.forEach((given, i) => {
    const axis = c.axis(given, shape.length);
    dims[axis] = add(dims[axis] as Dim, add(pads[i] as Dim, pads[i + axes.length] as Dim));
  });
  return dims;
}

function centerCropPad(c: InferContext): Shape | undefined {
  const shape = c.shape(0);
  const target = c.known(1);
  if (!shape) return undefined;
  const axes = c.node.ints('axes') ?? shape.map((_, i) => i);
  const dims = [...shape];
  axes.forEach((given, i) => {
    dims[c.axis(given, shape.length)] = target?.[i] ?? unknownDim();
  });
  return dims;
}

function compressed(c: InferContext): Shape | undefined {
  const axis = c.node.int('axis');
  const shape = c.shape(0);
  const count = c.knownNumbers(1)?.filter((keep) => keep !== 0).length ?? unknownDim();
  if (axis === undefined) return [count];
  return shape?.map((dim, i) => (i === c.axis(axis, shape.length) ? count : dim));
}

function uniqueTypes(c: InferContext): Inferred[] {
  const axis = c.node.int('axis');
  const shape = c.shape(0);
  const count = unknownDim();
  const values =
    axis === undefined
      ? [count]
      : shape?.map((dim, i) => (i === c.axis(axis, shape.length) ? count : dim));
  const whole = axis === undefined ? shape && product(shape) : shape?.[c.axis(axis, shape.length)];
  const inverse = [whole ?? unknownDim()];
  return [
    tensor(c.dtype(0), values),
    tensor('int64', [count]),
    tensor('int64', inverse),
    tensor('int64', [count]),
  ];
}

define(
  { op: 'Concat', infer: (c) => [concat(c)], cost: () => 0, axes: (l) => concatAxes(l) },
  { op: 'Split', infer: split, cost: () => 0, axes: splitAxes, resize: resizeSplit },
  {
    op: 'Slice',
    infer: (c) => [slice(c)],
    cost: () => 0,
    axes: sliceAxes,
    resize: resizeSlice,
  },
  {
    op: 'Pad',
    infer: (c) => [tensor(c.dtype(0), padded(c))],
    cost: () => 0,
    axes: padAxes,
    resize: resizePad,
  },
  { op: 'CenterCropPad', infer: (c) => [tensor(c.dtype(0), centerCropPad(c))], cost: () => 0 },
  { op: 'Compress', infer: (c) => [tensor(c.dtype(0), compressed(c))], cost: () => 0 },
  { op: 'Unique', infer: uniqueTypes },
  {
    op: 'ReverseSequence',
    infer: (c) => [sameAs(c, 0)],
    cost: () => 0,
    axes: (l) => passAxes(l, { except: [0, 1] }),
  },
);
