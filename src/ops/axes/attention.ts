// Axes of fused attention: a head is a block of the hidden axis of Q, K, V and of the result; with
// grouped queries a key head goes with all query heads that read it.

import type { AxisKey, AxisPort, Links } from './link.ts';
import type { ResizeContext } from './resize.ts';

const HEADS = { heads: true } as const;

interface Heads {
  readonly query: number;
  readonly key: number;
}

/** The axis of heads of a 4-D value [B, heads, S, d], or the hidden axis in blocks of heads. */
function headPort(
  at: (axis: number, key?: AxisKey) => AxisPort | undefined,
  shape: readonly unknown[] | undefined,
  count: number,
  keyHeads: number,
): AxisPort | undefined {
  const shared = count / keyHeads;
  if (!shape || !Number.isInteger(shared)) return undefined;
  if (shape.length === 4) return at(1, { stride: shared });
  const width = shape.length === 3 ? shape[2] : undefined;
  if (typeof width !== 'number' || width % count !== 0) return undefined;
  return at(2, { stride: (width / count) * shared });
}

interface Layout {
  readonly heads: Heads;
  /** Inputs that hold queries; keys and values; the past. */
  readonly queries: readonly number[];
  readonly keys: readonly number[];
  readonly pasts: readonly number[];
  /** [B or 1, heads or 1, S, T]. */
  readonly masks: readonly number[];
  /** Outputs like the query; like the past. */
  readonly results: readonly number[];
  readonly presents: readonly number[];
}

function attentionLinks(l: Links, layout: Layout): void {
  const { query, key } = layout.heads;
  const { node } = l.c;
  const inPort = (i: number, count: number) =>
    headPort((axis, k) => l.in(i, axis, k), node.inputs[i]?.shape, count, key);
  const outPort = (i: number, count: number) =>
    headPort((axis, k) => l.out(i, axis, k), node.outputs[i]?.shape, count, key);
  const [first] = layout.results;
  const anchor = outPort(first ?? 0, query);
  for (const i of layout.queries) l.join(inPort(i, query), anchor, HEADS);
  for (const i of [...layout.keys, ...layout.pasts]) l.join(inPort(i, key), anchor, HEADS);
  for (const i of layout.masks) {
    if (l.rank(i) === 4 && l.size(i, 1) === query) l.join(inPort(i, query), anchor, HEADS);
  }
  for (const i of layout.results.slice(1)) l.join(outPort(i, query), anchor, HEADS);
  for (const i of layout.presents) l.join(outPort(i, key), anchor, HEADS);
  l.join(l.in(0, 0), l.out(0, 0));
}

export function standardHeads(l: Links): Heads | undefined {
  const { c } = l;
  const [query, key] = [
    c.node.int('q_num_heads') ?? l.size(0, 1),
    c.node.int('kv_num_heads') ?? l.size(1, 1),
  ];
  if (query === undefined || key === undefined || query % key !== 0) return undefined;
  return { query, key };
}

/** Attention of the standard domain: the mask may have an axis of heads. */
export function standardAttentionAxes(l: Links): void {
  const heads = standardHeads(l);
  if (!heads) return;
  attentionLinks(l, {
    heads,
    queries: [0],
    keys: [1, 2],
    pasts: [4, 5],
    masks: [3],
    results: [0, 3],
    presents: [1, 2],
  });
}

export function resizeStandardAttention(r: ResizeContext): void {
  if (r.node.int('q_num_heads') === undefined) return;
  scaleHeads(r, 'q_num_heads', 0);
  scaleHeads(r, 'kv_num_heads', 1);
}

function scaleHeads(r: ResizeContext, name: string, input: number): void {
  const before = r.c.shape(input)?.at(-1);
  const after = r.sizeIn(input, -1);
  if (typeof before !== 'number' || after === undefined) return;
  r.setInt(name, (r.node.int(name, 1) * after) / before);
}

/** Query, key, value [B, S, D] apart; a bias [3 * D] has all three after each other. */
export function multiHeadAxes(l: Links): void {
  const heads = l.c.node.int('num_heads', 1);
  if (l.rank(0) !== 3 || (l.c.has(1) && l.rank(1) === 5)) return;
  attentionLinks(l, {
    heads: { query: heads, key: heads },
    queries: [0],
    keys: [1, 2],
    pasts: [6, 7],
    masks: [5],
    results: [0],
    presents: [1, 2],
  });
  const width = l.size(0, 2);
  const isEven = l.size(2, -1) === width && width !== undefined;
  if (!isEven) return;
  const key = { stride: width / heads };
  l.join(l.in(3, 0, { ...key, count: heads }), l.out(0, 2, key), HEADS);
}

export function resizeHeads(r: ResizeContext): void {
  const before = r.c.shape(0)?.[2];
  const after = r.sizeIn(0, 2);
  if (!r.keptIn(0, 2) || typeof before !== 'number' || after === undefined) return;
  const ratio = after / before;
  // Without a scale of its own it follows from the head size, which stays.
  for (const name of ['num_heads', 'kv_num_heads']) {
    const heads = r.node.int(name);
    if (heads !== undefined) r.setInt(name, heads * ratio);
  }
}

export function groupQueryAxes(l: Links): void {
  const heads = { query: l.c.node.int('num_heads', 1), key: l.c.node.int('kv_num_heads', 1) };
  if (!l.c.has(1)) packedGroups(l, heads);
  else {
    attentionLinks(l, {
      heads,
      queries: [0],
      keys: [1, 2],
      pasts: [3, 4],
      masks: [10],
      results: [0],
      presents: [1, 2],
    });
  }
}

/** One hidden axis: all query heads, then key heads, then value heads. */
function packedGroups(l: Links, { query, key }: Heads): void {
  const width = l.size(0, 2);
  const blocks = query + 2 * key;
  if (width === undefined || width % blocks !== 0) return;
  const size = width / blocks;
  const shared = query / key;
  const picks = Array.from({ length: width }, (_, i) => {
    const head = Math.floor(i / size);
    return head < query ? Math.floor(head / shared) : (head - query) % key;
  });
  const anchor = l.in(0, 2, { picks });
  l.join(l.out(0, 2, { stride: size * shared }), anchor, HEADS);
  for (const i of [3, 4]) l.join(l.in(i, 1), anchor, HEADS);
  for (const i of [1, 2]) l.join(l.out(i, 1), anchor, HEADS);
  l.join(l.in(0, 0), l.out(0, 0));
}

/** X [B, S, I] with its own projection [I, dq + dk + dv]. */
export function selfAttentionAxes(l: Links): void {
  const heads = l.c.node.int('num_heads', 1);
  l.join(l.in(0, 2), l.in(1, 0), { sums: true });
  l.join(l.in(0, 0), l.out(0, 0));
  const width = l.size(1, 1);
  if (width === undefined) return;
  const third = width / 3;
  const sizes = l.c.node.ints('qkv_hidden_sizes') ?? [third, third, third];
  const picks = sizes.flatMap((size) =>
    Array.from({ length: size }, (_, i) => Math.floor(i / (size / heads))),
  );
  const anchor = l.in(1, 1, { picks });
  l.join(l.in(2, 0, { picks }), anchor, HEADS);
  const value = sizes[2] as number;
  l.join(l.out(0, 2, { stride: value / heads }), anchor, HEADS);
  l.join(l.in(4, 2), anchor, HEADS);
  l.join(l.out(1, 2), anchor, HEADS);
  if (l.rank(5) === 4 && l.size(5, 1) === heads) l.join(l.in(5, 1), anchor, HEADS);
}

export function resizeSelfAttention(r: ResizeContext): void {
  const kept = r.keptIn(1, 1);
  const before = r.c.shape(1)?.[1];
  if (!kept || typeof before !== 'number') return;
  const heads = r.node.int('num_heads', 1);
  const ratio = kept.length / before;
  r.setInt('num_heads', heads * ratio);
  const sizes = r.node.ints('qkv_hidden_sizes');
  if (sizes)
    r.setInts(
      'qkv_hidden_sizes',
      sizes.map((size) => size * ratio),
    );
}

/** [B, heads, S, d], or [B, S, D] in blocks of heads; sines and cosines are shared by all heads. */
export function rotaryAxes(l: Links): void {
  l.join(l.in(0, 0), l.out(0, 0));
  if (l.rank(0) === 4) {
    l.join(l.in(0, 1), l.out(0, 1), HEADS);
    return;
  }
  const width = l.size(0, 2);
  const heads = l.c.node.int('num_heads', 0);
  if (!heads || width === undefined || width % heads !== 0) return;
  const key = { stride: width / heads };
  l.join(l.in(0, 2, key), l.out(0, 2, key), HEADS);
  l.join(l.in(0, 2), l.out(0, 2));
}
