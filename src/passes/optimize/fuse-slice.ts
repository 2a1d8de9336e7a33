// Slices of different axes one after the other are one Slice.

import { attr, type Node } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { fuse, intsOf, isOutput, producer } from '../match.ts';
import { rewrite } from '../pass.ts';

export default rewrite({
  name: 'fuse-slice',
  summary: 'Makes one Slice of several that cut different axes',
  on: 'Slice',
  apply(node, context) {
    const inner = producer(node.input(0), 'Slice');
    const x = inner?.input(0);
    const rank = x?.shape?.length;
    if (!inner || !x || rank === undefined || inner.graph !== node.graph) return undefined;
    // The inner one must not have to stay for somebody else.
    if (isOutput(inner.output)) return undefined;
    const readers = inner.output.uses.map((use) => use.node);
    const first = cutsOf(inner, rank);
    const isMine = (reader: Node) => first && joins(first, cutsOf(reader, rank));
    if (!first || !readers.every((r) => r.op === 'Slice' && r.domain === '' && isMine(r)))
      return undefined;
    const cuts = [...first, ...(cutsOf(node, rank) ?? [])];
    const part = (key: keyof Cut) => cuts.map((cut) => cut[key]);
    const { g, opset } = context;
    if (opset < 10) {
      const attrs = {
        starts: attr.ints(part('start')),
        ends: attr.ints(part('end')),
        axes: attr.ints(part('axis')),
      };
      return fuse(context, [node, inner], node.output, g.op('Slice', [x], attrs));
    }
    const inputs = (['start', 'end', 'axis', 'step'] as const).map((key) =>
      g.constant(`${key}s`, Tensor.int64(part(key).map(clamp))),
    );
    return fuse(context, [node, inner], node.output, g.op('Slice', [x, ...inputs]));
  },
});

interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

function cutsOf(node: Node, rank: number): Cut[] | undefined {
  const starts = intsOf(node, 'starts', 1);
  const ends = intsOf(node, 'ends', 2);
  if (!starts || !ends) return undefined;
  const all = starts.map((_, i) => i);
  const axes = node.attrs.has('axes') || node.input(3) ? intsOf(node, 'axes', 3) : all;
  const steps = node.input(4) ? intsOf(node, 'steps', 4) : starts.map(() => 1);
  if (!axes || !steps) return undefined;
  return starts.map((start, i) => ({
    axis: (axes[i] as number) < 0 ? (axes[i] as number) + rank : (axes[i] as number),
    start,
    end: ends[i] as number,
    step: steps[i] as number,
  }));
}

function joins(first: readonly Cut[], second: readonly Cut[] | undefined): boolean {
  const axes = new Set(first.map((cut) => cut.axis));
  return second?.every((cut) => !axes.has(cut.axis)) ?? false;
}

/** "To the end" is written as the largest integer, which a number cannot hold. */
function clamp(value: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
}
