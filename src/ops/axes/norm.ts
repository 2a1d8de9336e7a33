// Axes of normalisations. A cut through channels is exact where each channel has statistics of its
// own, and changes results a little where statistics are taken over the axis that is cut.

import type { Links } from './link.ts';
import type { ResizeContext } from './resize.ts';
import { passAxes } from './same.ts';

/** X [N, C …] with inputs [C] for each channel. */
export function batchnormAxes(l: Links): void {
  if (l.c.node.int('spatial', 1) === 0) return;
  passAxes(l);
  const channels = l.rank(0) === 1 ? 0 : 1;
  for (const i of [1, 2, 3, 4]) l.join(l.in(i, 0), l.out(0, channels));
  for (const i of [1, 2, 3, 4]) l.join(l.out(i, 0), l.out(0, channels));
}

export function instanceNormAxes(l: Links): void {
  l.join(l.in(0, 0), l.out(0, 0));
  for (const i of [0, 1, 2]) l.join(l.in(i, i === 0 ? 1 : 0), l.out(0, 1));
}

/** Whole groups go; a single group is a LayerNormalization over channels and space. */
export function groupNormAxes(groups: string, channelAxis: number): (l: Links) => void {
  return (l) => {
    const count = l.c.node.int(groups, 1);
    const channels = l.size(0, channelAxis);
    if (channels === undefined || channels % count !== 0) return;
    l.join(l.in(0, 0), l.out(0, 0));
    const key = { stride: channels / count };
    const traits = count === 1 ? ({ exact: false } as const) : {};
    l.join(l.in(0, channelAxis), l.out(0, channelAxis), traits);
    if (count > 1) l.join(l.in(0, channelAxis, key), l.out(0, channelAxis, key));
    for (const i of [1, 2]) {
      const isPerGroup = l.size(i, 0) === count && count !== channels;
      // A scale for the only group stays as it is.
      if (isPerGroup && count === 1) continue;
      const y = isPerGroup ? l.out(0, channelAxis, key) : l.out(0, channelAxis);
      l.join(isPerGroup ? l.in(i, 0, {}) : l.in(i, 0), y);
    }
  };
}

export function resizeGroupNorm(groups: string, channelAxis: number) {
  return (r: ResizeContext): void => {
    const count = r.node.int(groups, 1);
    const before = r.c.shape(0)?.at(channelAxis);
    const after = r.sizeIn(0, channelAxis);
    if (count === 1 || typeof before !== 'number' || after === undefined) return;
    r.setInt(groups, after / (before / count));
  };
}

/** Statistics over the axes from `axis` on; scale and bias are aligned to the end. */
export function layerNormAxes(
  l: Links,
  { axis = l.c.node.int('axis', -1), like = [] as readonly number[], parameters = [1, 2] } = {},
): void {
  const rank = l.rank(0);
  const first = axis < 0 ? axis + rank : axis;
  const traits = (k: number) => (k < first ? {} : ({ exact: false } as const));
  for (let k = 0; k < rank; k++) {
    for (const i of [0, ...like]) {
      if (l.rank(i) === rank) l.join(l.in(i, k), l.out(0, k), traits(k));
    }
    l.c.node.outputs.slice(1).forEach((_, i) => {
      l.join(l.out(i + 1, k), l.out(0, k));
    });
  }
  for (const i of parameters) {
    for (let k = 1; k <= l.rank(i); k++) l.join(l.in(i, -k), l.out(0, -k));
  }
}

/** The axes that statistics are taken over, or the neighbours of a channel (LRN). */
export function mixedAxes(l: Links, mixed: readonly number[]): void {
  const rank = l.rank(0);
  const set = new Set(mixed.map((axis) => (axis < 0 ? axis + rank : axis)));
  for (let k = 0; k < rank; k++) {
    l.join(l.in(0, k), l.out(0, k), set.has(k) ? { exact: false } : {});
  }
}
