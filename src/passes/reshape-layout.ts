// A Reshape that splits or joins neighbouring axes carries a transposition: the groups of axes move
// as wholes. reshape(transpose(x, perm)) = transpose(reshape'(x), perm').

import { type Dim, divideExactly, mul, type Node, type Shape, sameDim } from '../graph/index.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Perm } from './layout.ts';

interface Group {
  /** Axes before. */
  readonly from: number[];
  /** Axes after, of the same number of elements. */
  readonly to: number[];
}

/** The target of the Reshape of the untransposed data, and the transposition of its result. */
export function carryReshape(
  node: Node,
  perm: Perm,
): { target: Tensor; perm: number[] } | undefined {
  const before = node.input(0)?.shape;
  const after = node.output.shape;
  if (!before || !after || !node.input(1) || node.int('allowzero', 0) !== 0) return undefined;
  const groups = groupsOf(before, after);
  if (!groups?.every((group) => staysTogether(group.from, perm))) return undefined;
  const order = [...groups].sort(
    (a, b) => (perm[a.from[0] ?? 0] ?? 0) - (perm[b.from[0] ?? 0] ?? 0),
  );
  const axes = order.flatMap((group) => group.to);
  const plain: Dim[] = [];
  perm.forEach((axis, i) => {
    plain[axis] = before[i] as Dim;
  });
  const sizes = sizesOf(
    axes.map((axis) => after[axis] as Dim),
    plain,
  );
  if (!sizes) return undefined;
  const result = new Array<number>(after.length);
  axes.forEach((axis, position) => {
    result[axis] = position;
  });
  return { target: Tensor.int64(sizes), perm: result };
}

/** Pairs of neighbouring axes with equal products; undefined where sizes cannot be compared. */
function groupsOf(before: Shape, after: Shape): Group[] | undefined {
  const groups: Group[] = [];
  let [i, k] = [0, 0];
  while (i < before.length && k < after.length) {
    const group: Group = { from: [i], to: [k] };
    let [left, right] = [before[i++] as Dim, after[k++] as Dim];
    while (!sameDim(left, right)) {
      if (isMultiple(left, right) && k < after.length) {
        group.to.push(k);
        right = mul(right, after[k++] as Dim);
      } else if (isMultiple(right, left) && i < before.length) {
        group.from.push(i);
        left = mul(left, before[i++] as Dim);
      } else return undefined;
    }
    groups.push(group);
  }
  // What is left has size 1 on either side.
  const last = groups.at(-1);
  if (!last || before.slice(i).some((dim) => dim !== 1)) return undefined;
  if (after.slice(k).some((dim) => dim !== 1)) return undefined;
  while (i < before.length) last.from.push(i++);
  while (k < after.length) last.to.push(k++);
  return groups;
}

function isMultiple(a: Dim, b: Dim): boolean {
  return divideExactly(a, b) !== undefined;
}

/** Whether the axes are neighbours in the same order before the transposition. */
function staysTogether(axes: readonly number[], perm: Perm): boolean {
  return axes.every((axis, i) => i === 0 || perm[axis] === (perm[axis - 1] as number) + 1);
}

/** The target of a Reshape: numbers, 0 for a size that is copied, -1 for one that is left open. */
function sizesOf(shape: Shape, from: Shape): number[] | undefined {
  let open = 0;
  const sizes = shape.map((dim, i) => {
    if (typeof dim === 'number') return dim;
    const source = from[i];
    if (source !== undefined && sameDim(source, dim)) return 0;
    open += 1;
    return -1;
  });
  return open > 1 || shape.includes(0) ? undefined : sizes;
}
