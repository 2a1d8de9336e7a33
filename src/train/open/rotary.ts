// Openings of rotary position embeddings (Su et al., arXiv:2104.09864): pairs of features are turned by
// an angle that grows with the position. Angles come as tables of cosines and sines.

import type { Value } from '../../graph/index.ts';
import type { Openable, Opening } from './openable.ts';

export interface Angles {
  /** Broadcast over heads: [B, 1, S, r/2]. */
  readonly cos: Value;
  readonly sin: Value;
  readonly isInterleaved: boolean;
}

/** Turns the first r of the features of [B, N, S, H]. */
export function turned(o: Openable, x: Value, { cos, sin, isInterleaved }: Angles): Value {
  const [b = 1, n = 1, s = 1, size = 1] = o.sizes(x);
  const half = o.sizes(cos).at(-1) ?? size / 2;
  const rest = 2 * half < size ? o.f.slice(x, 3, 2 * half, size) : undefined;
  const part = rest ? o.f.slice(x, 3, 0, 2 * half) : x;
  // Pairs of neighbours, or of the two halves.
  const [shape, axis] = isInterleaved ? [[b, n, s, half, 2], 4] : [[b, n, s, 2, half], 3];
  const paired = o.f.reshape(part, shape);
  const take = (i: number) => o.op('Gather', [paired, o.f.number(i, 'int64')], { axis });
  const [first, second] = [take(0), take(1)];
  const real = o.f.sub(o.f.mul(first, cos), o.f.mul(second, sin));
  const imaginary = o.f.add(o.f.mul(first, sin), o.f.mul(second, cos));
  const joined = [real, imaginary].map((v) => o.op('Unsqueeze', [v, o.f.ints([axis])]));
  const flat = o.f.reshape(o.op('Concat', joined, { axis }), [b, n, s, 2 * half]);
  return rest ? o.op('Concat', [flat, rest], { axis: 3 }) : flat;
}

/** Rows of a table [M, r/2] at positions [S] or [B, S], beside [B, N, S, r/2]. */
export function rowsAt(o: Openable, table: Value, positions: Value): Value {
  const rows = o.op('Gather', [table, positions], { axis: 0 });
  const isShared = o.sizes(positions).length === 1;
  return o.op('Unsqueeze', [rows, o.f.ints(isShared ? [0, 1] : [1])]);
}

/** [B, S, N · H] → [B, N, S, H]. */
export function toHeads(o: Openable, x: Value, heads: number): Value {
  const [b = 1, s = 1, width = 1] = o.sizes(x);
  return o.transpose(o.f.reshape(x, [b, s, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, N, S, H] → [B, S, N · H]. */
export function fromHeads(o: Openable, x: Value): Value {
  const [b = 1, n = 1, s = 1, size = 1] = o.sizes(x);
  return o.f.reshape(o.transpose(x, [0, 2, 1, 3]), [b, s, n * size]);
}

/** Where the number of heads is not given, a head is as wide as the table has angles for. */
function inHeads(o: Openable, table: number, make: (x: Value) => Value): Value[] {
  const x = o.x(0);
  if (o.sizes(x).length === 4) return [make(x)];
  const width = 2 * (o.sizes(o.x(table)).at(-1) ?? 1);
  const heads = o.node.int('num_heads', 0) || (o.sizes(x)[2] ?? width) / width;
  return [fromHeads(o, make(toHeads(o, x, heads)))];
}

/** Input, positions [B, S] or one offset [1], tables. */
function microsoft(o: Openable): Value[] {
  if (o.node.float('scale', 1) !== 1) o.unknown('RotaryEmbedding with a scale');
  const isInterleaved = o.node.int('interleaved', 0) === 1;
  return inHeads(o, 2, (x) => {
    const length = o.sizes(x)[2] ?? 1;
    const isOffset = o.sizes(o.x(1)).length === 1;
    const count = Array.from({ length }, (_, i) => i);
    const positions = isOffset ? o.f.add(o.f.ints(count), o.x(1)) : o.x(1);
    const at = (index: number) => rowsAt(o, o.x(index), positions);
    return turned(o, x, { cos: at(2), sin: at(3), isInterleaved });
  });
}

/** Input, tables [M, r/2] with positions [B, S], or [B, S, r/2] without. */
function standard(o: Openable): Value[] {
  const isInterleaved = o.node.int('interleaved', 0) === 1;
  const positions = o.optional(3);
  const at = (index: number) =>
    positions ? rowsAt(o, o.x(index), positions) : o.op('Unsqueeze', [o.x(index), o.f.ints([1])]);
  return inHeads(o, 1, (x) => turned(o, x, { cos: at(1), sin: at(2), isInterleaved }));
}

export const rotaries: Readonly<Record<string, Opening>> = {
  'com.microsoft:RotaryEmbedding': microsoft,
  ':RotaryEmbedding': standard,
};
