// Axes of operators that join, cut, pick and move: parts of an axis keep their place in the whole.

import type { AxisKey, Links } from './link.ts';
import type { ResizeContext } from './resize.ts';
import { passAxes } from './same.ts';

function positive(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

export function concatAxes(l: Links, { first = 0, stride = 1 } = {}): void {
  const axis = positive(l.c.node.int('axis', 1), l.outRank());
  let offset = 0;
  for (let i = first; i < l.c.inputCount; i += stride) {
    passAxes(l, { input: i, except: [axis] });
    const size = l.size(i, axis);
    if (size === undefined) return;
    l.join(l.in(i, axis, { offset }), l.out(0, axis));
    offset += size;
  }
}

export function splitAxes(l: Links): void {
  const axis = positive(l.c.node.int('axis', 0), l.rank(0));
  let offset = 0;
  l.c.node.outputs.forEach((output, i) => {
    passAxes(l, { output: i, except: [axis] });
    const size = output.shape?.[axis];
    if (typeof size !== 'number') return;
    l.join(l.in(0, axis), l.out(i, axis, { offset }));
    offset += size;
  });
}

/** Sizes as an attribute until 12, as an input since; equal parts need none, until they are cut. */
export function resizeSplit(r: ResizeContext): void {
  const axis = positive(r.node.int('axis', 0), r.c.rank(0) ?? 0);
  if (!r.keptIn(0, axis)) return;
  const sizes = r.node.outputs.map((_, i) => r.sizeOut(i, axis));
  if (sizes.some((size) => size === undefined)) return;
  if (r.c.opset < 13) r.setInts('split', sizes as number[]);
  else {
    r.setInput(1, sizes as number[]);
    r.node.setAttr('num_outputs', undefined);
  }
}

interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly length: number;
}

const LISTS = ['starts', 'ends', 'axes', 'steps'];

function list(c: Links['c'], which: number): readonly number[] | undefined {
  return c.node.ints(LISTS[which] as string) ?? (c.has(which + 1) ? c.knownNumbers(which + 1) : []);
}

/** What a Slice takes of axes of known size; undefined where it cannot be told. */
function cutsOf(c: Links['c']): Cut[] | undefined {
  const [x, y] = [c.shape(0), c.node.outputs[0]?.shape];
  const [starts, , axes, steps] = [0, 1, 2, 3].map((i) => list(c, i));
  if (!x || !y || !axes || !steps) return undefined;
  const count = starts?.length ?? axes.length;
  const cuts: Cut[] = [];
  for (let i = 0; i < count; i++) {
    const axis = positive(axes[i] ?? i, x.length);
    const [size, length] = [x[axis], y[axis]];
    // Of symbolic axes what a Slice takes is open.
    if (typeof size !== 'number' || typeof length !== 'number') {
      cuts.push({ axis, start: 0, step: 0, length: -1 });
      continue;
    }
    const start = starts?.[i];
    if (start === undefined) return undefined;
    const step = steps[i] ?? 1;
    const last = step < 0 ? size - 1 : size;
    cuts.push({ axis, start: Math.min(Math.max(positive(start, size), 0), last), step, length });
  }
  return cuts;
}

function keyOf({ start, step }: Cut): AxisKey {
  return { offset: start, step };
}

export function sliceAxes(l: Links): void {
  const cuts = cutsOf(l.c);
  if (!cuts) return;
  passAxes(l, { except: cuts.map(({ axis }) => axis) });
  for (const cut of cuts) {
    if (cut.length < 0) continue;
    // Every second position of what is left would be another one.
    const isRun = Math.abs(cut.step) === 1;
    if (isRun) l.join(l.in(0, cut.axis), l.out(0, cut.axis, keyOf(cut)));
  }
}

/** New bounds: the first and last element that stay, where the picks are still evenly spaced. */
export function resizeSlice(r: ResizeContext): void {
  const cuts = cutsOf(r.c);
  if (!cuts?.some(({ axis }) => r.keptIn(0, axis))) return;
  const rank = r.c.rank(0) ?? 0;
  const [starts, ends, given] = [0, 1, 2].map((i) => [...(list(r.c, i) ?? [])]);
  if (!starts || !ends) return;
  starts.forEach((_, i) => {
    const axis = positive(given?.[i] ?? i, rank);
    const cut = cuts.find((other) => other.axis === axis);
    const kept = cut && r.keptIn(0, axis);
    if (!cut || !kept) return;
    const range = newRange(cut, kept, r.keptOut(0, axis));
    [starts[i], ends[i]] = range;
  });
  if (r.node.attrs.has('starts')) {
    r.setInts('starts', starts);
    r.setInts('ends', ends);
  } else {
    r.setInput(1, starts);
    r.setInput(2, ends);
  }
}

function newRange(
  { start, step, length }: Cut,
  kept: readonly number[],
  keptOut: readonly number[] | undefined,
): [number, number] {
  const picked = (keptOut ?? Array.from({ length }, (_, i) => i)).map((i) => start + step * i);
  const at = picked.map((position) => kept.indexOf(position));
  const first = at[0] ?? 0;
  const end = (at.at(-1) ?? -1) + Math.sign(step);
  // Backwards to the very start needs an end below any count from the end.
  return [first, end < 0 ? Number.MIN_SAFE_INTEGER : end];
}

/** Padding with a constant adds positions of no input. */
export function padAxes(l: Links): void {
  const pads = padsOf(l.c);
  if (!pads) return;
  for (let axis = 0; axis < l.rank(0); axis++) {
    const [before, after] = pads[axis] as [number, number];
    const isCut = before < 0 || after < 0;
    // Reflections read neighbours: only axes they leave alone can be cut.
    const isMixed = l.c.node.string('mode', 'constant') !== 'constant' && (before || after);
    if (before === 0 && after === 0) l.join(l.in(0, axis), l.out(0, axis));
    else if (!isMixed && !isCut) l.join(l.in(0, axis, { offset: before }), l.out(0, axis));
  }
}

/** [before, after] of every axis. */
function padsOf(c: Links['c']): [number, number][] | undefined {
  const rank = c.rank(0);
  const pads = c.node.ints('pads') ?? c.node.ints('paddings') ?? c.knownNumbers(1);
  const axes = c.has(3) ? c.knownNumbers(3) : undefined;
  if (rank === undefined || !pads || (c.has(3) && !axes)) return undefined;
  const result = Array.from({ length: rank }, (): [number, number] => [0, 0]);
  const count = axes?.length ?? rank;
  for (let i = 0; i < count; i++) {
    result[positive(axes?.[i] ?? i, rank)] = [pads[i] ?? 0, pads[i + count] ?? 0];
  }
  return result;
}

export function resizePad(r: ResizeContext): void {
  const pads = padsOf(r.c);
  const rank = r.c.rank(0) ?? 0;
  if (!pads) return;
  let isChanged = false;
  const next = pads.map(([before, after], axis): [number, number] => {
    const [size, kept] = [r.c.shape(0)?.[axis], r.keptOut(0, axis)];
    if (!kept || typeof size !== 'number' || (before === 0 && after === 0)) return [before, after];
    isChanged = true;
    return [
      kept.filter((position) => position < before).length,
      kept.filter((position) => position >= before + size).length,
    ];
  });
  if (!isChanged) return;
  const flat = [...next.map(([before]) => before), ...next.map(([, after]) => after)];
  const attribute = ['pads', 'paddings'].find((name) => r.node.attrs.has(name));
  if (attribute) r.setInts(attribute, flat);
  else {
    r.setInput(1, flat);
    if (r.c.has(3))
      r.setInput(
        3,
        Array.from({ length: rank }, (_, i) => i),
      );
  }
}

/** Other axes of the data pass, shifted by the axes of the indices; picks that are known, too. */
/** Axes behind those that an index tuple is about, which are left as they are. */
export function gatherNdAxes(l: Links): void {
  const tuple = l.c.shape(1)?.at(-1);
  if (typeof tuple !== 'number' || l.c.node.int('batch_dims', 0) !== 0) return;
  const before = l.rank(1) - 1 - tuple;
  for (let k = tuple; k < l.rank(0); k++) l.join(l.in(0, k), l.out(0, before + k));
}

/** The same of data, updates and result. */
export function scatterNdAxes(l: Links): void {
  const tuple = l.c.shape(1)?.at(-1);
  if (typeof tuple !== 'number') return;
  const before = l.rank(1) - 1 - tuple;
  for (let k = tuple; k < l.rank(0); k++) {
    l.join(l.in(0, k), l.out(0, k));
    l.join(l.in(2, before + k), l.out(0, k));
  }
}

export function gatherAxes(l: Links): void {
  const rank = l.rank(0);
  const axis = positive(l.c.node.int('axis', 0), rank);
  const [data, indices] = [l.c.shape(0), l.c.shape(1)];
  if (!data || !indices) return;
  for (let k = 0; k < rank; k++) {
    if (k === axis) continue;
    l.join(l.in(0, k), l.out(0, k < axis ? k : k + indices.length - 1));
  }
  for (let k = 0; k < indices.length; k++) {
    const picks = k === 0 && indices.length === 1 ? picksOf(l.c, axis) : undefined;
    if (picks) l.join(l.in(0, axis), l.out(0, axis, { picks }));
    else l.join(l.in(1, k), l.out(0, axis + k));
  }
}

function picksOf(c: Links['c'], axis: number): readonly number[] | undefined {
  const size = c.shape(0)?.[axis];
  const indices = c.knownNumbers(1);
  if (typeof size !== 'number' || !indices || c.rank(1) !== 1) return undefined;
  return indices.map((i) => positive(i, size));
}

export function resizeGather(r: ResizeContext): void {
  const axis = positive(r.node.int('axis', 0), r.c.rank(0) ?? 0);
  const picks = picksOf(r.c, axis);
  const kept = r.keptIn(0, axis);
  if (!picks || (!kept && !r.keptOut(0, axis))) return;
  const stay = r.keptOut(0, axis) ?? picks.map((_, i) => i);
  const place = (position: number) => (kept ? kept.indexOf(position) : position);
  r.setInput(
    1,
    stay.map((i) => place(picks[i] as number)),
  );
}

export function transposeAxes(l: Links): void {
  const rank = l.rank(0);
  const perm = l.c.node.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  perm.forEach((axis, i) => {
    l.join(l.in(0, axis), l.out(0, i));
  });
}

/** Axes that are stretched from 1 may be cut freely: the target says their size. */
export function expandAxes(l: Links): void {
  for (let i = 1; i <= l.outRank(); i++) {
    const size = i <= l.rank(0) ? l.c.shape(0)?.at(-i) : 1;
    if (size === 1) l.free(l.out(0, -i));
    else l.join(l.in(0, -i), l.out(0, -i));
  }
}

export function tileAxes(l: Links): void {
  for (let axis = 0; axis < l.rank(0); axis++) {
    const size = l.size(0, axis);
    if (size !== undefined) l.join(l.in(0, axis), l.out(0, axis, { count: size }));
  }
}

/** A new value whose shape an input says. */
export function filledAxes(l: Links): void {
  for (let axis = 0; axis < l.outRank(); axis++) l.free(l.out(0, axis));
}

/** DCR: depth is (b, b, C); CRD: (C, b, b). */
export function depthToSpaceAxes(l: Links): void {
  const block = l.c.node.int('blocksize', 1);
  const channels = l.c.node.outputs[0]?.shape?.[1];
  l.join(l.in(0, 0), l.out(0, 0));
  if (typeof channels !== 'number') return;
  const isCrd = l.c.node.string('mode', 'DCR') === 'CRD';
  const key = isCrd ? { stride: block * block } : { count: channels };
  l.join(l.in(0, 1, key), l.out(0, 1));
}

/** Depth of the result is (b, b, C). */
export function spaceToDepthAxes(l: Links): void {
  const channels = l.size(0, 1);
  l.join(l.in(0, 0), l.out(0, 0));
  if (channels !== undefined) l.join(l.in(0, 1), l.out(0, 1, { count: channels }));
}
