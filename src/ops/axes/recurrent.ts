// Axes of recurrent layers: hidden units, of which each gate holds one block: W [D, G * H, I],
// R [D, G * H, H], B [D, 2 * G * H], states [D, N, H], peepholes [D, 3 * H].

import type { Links } from './link.ts';
import type { ResizeContext } from './resize.ts';

export function recurrentAxes(l: Links): void {
  const hidden = l.size(2, 2);
  if (hidden === undefined) return;
  const isBatchFirst = l.c.node.int('layout', 0) === 1;
  l.join(l.in(0, 2), l.in(1, 2), { sums: true });
  // The state is the layer's own input: R sums over it.
  const state = l.in(2, 2);
  l.free(state, { sums: true });
  const gates = { count: hidden };
  l.join(l.in(1, 1, gates), state);
  l.join(l.in(2, 1, gates), state);
  l.join(l.in(3, 1, gates), state);
  for (const i of [5, 6]) l.join(l.in(i, 2), state);
  l.join(l.in(7, 1, gates), state);
  l.join(l.out(0, 3), state);
  for (const i of [1, 2]) l.join(l.out(i, 2), state);
  const [batch, time] = isBatchFirst ? [0, 1] : [1, 0];
  l.join(l.in(0, batch), l.out(0, isBatchFirst ? 0 : 2));
  l.join(l.in(0, time), l.out(0, isBatchFirst ? 1 : 0));
}

export function resizeRecurrent(r: ResizeContext): void {
  const hidden = r.sizeIn(2, 2);
  if (r.keptIn(2, 2) && hidden !== undefined) r.setInt('hidden_size', hidden);
}
