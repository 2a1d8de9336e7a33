// Axes of conversions between floats and integers: scales and zero points per channel or per block
// are tied to the axis they stand for; a whole block goes.

import type { Links } from './link.ts';
import { passAxes } from './same.ts';

export function quantizeAxes(l: Links): void {
  passAxes(l);
  const rank = l.rank(0);
  const axis = l.c.node.int('axis', 1);
  const block = l.c.node.int('block_size', 0);
  for (const i of [1, 2]) {
    const isPerChannel = l.rank(i) === 1 && block === 0 && (l.size(i, 0) ?? 1) > 1;
    if (isPerChannel) l.join(l.in(i, 0), l.out(0, axis));
    else if (l.rank(i) === rank) blockedAxes(l, i, axis < 0 ? axis + rank : axis, block);
  }
}

/** A scale stands for `block` positions of one axis. */
function blockedAxes(l: Links, input: number, blocked: number, block: number): void {
  for (let k = 0; k < l.rank(input); k++) {
    if (k !== blocked || block === 0) l.join(l.in(input, k), l.out(0, k));
    else l.join(l.in(input, k, {}), l.out(0, k, { stride: block }));
  }
}

/** The scale is that of all elements together. */
export function dynamicQuantizeAxes(l: Links): void {
  passAxes(l, {}, { exact: false });
}
