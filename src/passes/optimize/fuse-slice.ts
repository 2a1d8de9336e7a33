// Slices of different axes one after the other are one Slice; a Slice of a Concat that cuts out
// exactly one part is that part.

import { attr, type Node } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { fuse, intsOf, isOutput, producer } from '../match.ts';
import { type RewriteContext, rewrite } from '../pass.ts';

export default rewrite({
  name: 'fuse-slice',
  summary: 'Makes one Slice of several that cut different axes',
  on: 'Slice',
  apply(node, context) {
    if (cutsPart(node, context)) return true;
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

/** Slice(Concat(a, b), all of b) = b. */
function cutsPart(node: Node, context: RewriteContext): boolean {
  const concat = producer(node.input(0), 'Concat');
  const rank = concat?.output.shape?.length;
  if (!concat || rank === undefined || concat.graph !== node.graph) return false;
  const [cut, ...others] = cutsOf(node, rank) ?? [];
  const given = concat.int('axis', 1);
  const axis = given < 0 ? given + rank : given;
  if (!cut || others.length > 0 || cut.axis !== axis || cut.step !== 1) return false;
  const sizes = concat.inputs.map((part) => part?.shape?.[axis]);
  if (!sizes.every((size) => typeof size === 'number')) return false;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const place = (at: number) => Math.min(Math.max(at < 0 ? at + total : at, 0), total);
  let start = 0;
  for (const [i, size] of sizes.entries()) {
    const part = concat.input(i);
    if (part && size > 0 && place(cut.start) === start && place(cut.end) === start + size) {
      return fuse(context, [node, concat], node.output, part);
    }
    start += size;
  }
  return false;
}

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
