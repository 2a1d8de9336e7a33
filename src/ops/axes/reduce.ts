// Axes of reductions. Axes that stay pass; one that is reduced stands a cut: exactly where zeros add
// nothing (sums, norms), with other results where they would count (means, extremes).

import type { Links } from './link.ts';

const SUMS = new Set(['ReduceSum', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare']);
const INEXACT = new Set(['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceLogSumExp']);

export function reduceAxes(l: Links, axes: readonly number[] | undefined): void {
  if (!axes) return;
  const rank = l.rank(0);
  const reduced = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  const keeps = l.outRank() === rank;
  let to = 0;
  for (let axis = 0; axis < rank; axis++) {
    if (reduced.has(axis)) {
      if (SUMS.has(l.c.node.op)) l.free(l.in(0, axis), { sums: true });
      else if (INEXACT.has(l.c.node.op)) l.free(l.in(0, axis), { exact: false });
      if (keeps) to += 1;
    } else {
      l.join(l.in(0, axis), l.out(0, to));
      to += 1;
    }
  }
}

/** ArgMax and TopK: only the axes beside theirs. */
export function besideAxes(l: Links, axis: number): void {
  const rank = l.rank(0);
  const at = axis < 0 ? axis + rank : axis;
  l.c.node.outputs.forEach((_, output) => {
    const shift = l.outRank(output) < rank ? 1 : 0;
    for (let k = 0; k < rank; k++) {
      if (k !== at) l.join(l.in(0, k), l.out(output, k > at ? k - shift : k));
    }
  });
}

/** Pooling keeps batch and channels; indices of a MaxPool count channels, so a cut would change them. */
export function poolAxes(channelsLast = false): (l: Links) => void {
  return (l) => {
    if ((l.c.node.outputs[1]?.uses.length ?? 0) > 0) return;
    l.join(l.in(0, 0), l.out(0, 0));
    const channels = channelsLast ? -1 : 1;
    l.join(l.in(0, channels), l.out(0, channels));
  };
}
