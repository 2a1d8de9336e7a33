// Channels in another order, so that N:M pruning loses less (Pool and Yu 2021): a group's units can
// trade places, in all that is tied, without changing the function; which of them are neighbours where
// layers sum over them decides what goes. Large channels are dealt out evenly first, then pairs trade
// places as long as more magnitude stays.

import type { Model, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { selectTensor } from '../../tensor/gather.ts';
import { Random } from '../../tensor/random.ts';
import { findGroups, type Group, type Member } from './group.ts';
import { reshare, unshare } from './unshare.ts';

export interface Permuted {
  readonly group: string;
  /** Magnitude that N:M keeps, against all of it. */
  readonly before: number;
  readonly after: number;
}

/** Elements that trials of swaps may look at, for each group. */
const BUDGET = 2e8;

/** Edits the model in place; the function stays the same. */
export function permuteForPattern(model: Model, n: number, m: number): Permuted[] {
  unshare(model);
  const permuted: Permuted[] = [];
  for (const group of findGroups(model).groups) {
    const readers = group.weights.filter((member) => isReader(member, group.units));
    if (readers.length === 0 || group.units % m !== 0 || !isPlain(group)) continue;
    const columns = columnsOf(readers, group.units);
    const start = Array.from({ length: group.units }, (_, i) => i);
    const found = search(columns, group.units, n, m);
    const all = columns.values.reduce((sum, value) => sum + value, 0) || 1;
    const [before, after] = [start, found].map((order) => keptOf(columns, order, n, m) / all);
    if (!((after as number) > (before as number) * (1 + 1e-6))) continue;
    reorder(group, found);
    permuted.push({ group: group.name, before: before as number, after: after as number });
  }
  reshare(model);
  return permuted;
}

/** A weight that sums over the units, each of which is one input. */
function isReader({ value, axis, role, positions }: Member, units: number): boolean {
  const data = constantData(value);
  if (role !== 'sums' || data?.dtype !== 'float32' || data.isDerived) return false;
  if (positions.length !== units || positions.some((list) => list.length !== 1)) return false;
  const { shape } = data;
  const isMatrix = shape.length === 2 || shape.slice(2).every((size) => size === 1);
  return isMatrix && shape[axis] === units;
}

/** Every place of a unit has its counterpart in every other unit, and weights can be written. */
function isPlain({ weights, values, exact }: Group): boolean {
  const even = ({ positions }: Member) =>
    positions.every((list) => list.length === positions[0]?.length);
  return (
    exact && weights.every((member) => even(member) && member.value.data) && values.every(even)
  );
}

interface Columns {
  /** |w| of unit u in row r: [units, rows]. */
  readonly values: Float32Array;
  readonly rows: number;
}

function columnsOf(readers: readonly Member[], units: number): Columns {
  const parts = readers.map(({ value, axis, positions }) => {
    const data = constantData(value);
    const [a = 1, b = 1] = data?.shape ?? [];
    return {
      w: data?.values() as Float32Array,
      rows: axis === 0 ? b : a,
      width: b,
      axis,
      positions,
    };
  });
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const values = new Float32Array(units * rows);
  for (let u = 0; u < units; u++) {
    let at = u * rows;
    for (const { w, rows: own, width, axis, positions } of parts) {
      const place = positions[u]?.[0] ?? 0;
      for (let r = 0; r < own; r++) {
        values[at++] = Math.abs(w[axis === 0 ? place * width + r : r * width + place] as number);
      }
    }
  }
  return { values, rows };
}

/** What the N largest of each M neighbours hold together. */
function keptOf(columns: Columns, order: readonly number[], n: number, m: number): number {
  let sum = 0;
  for (let at = 0; at < order.length; at += m) sum += keptBy(columns, order, at, n, m);
  return sum;
}

function keptBy(
  { values, rows }: Columns,
  order: readonly number[],
  at: number,
  n: number,
  m: number,
) {
  let sum = 0;
  const four = new Float64Array(m);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < m; i++) four[i] = values[(order[at + i] as number) * rows + r] as number;
    four.sort();
    for (let i = m - n; i < m; i++) sum += four[i] as number;
  }
  return sum;
}

function search(columns: Columns, units: number, n: number, m: number): number[] {
  const order = dealt(columns, units, m);
  const plain = Array.from({ length: units }, (_, i) => i);
  const best = keptOf(columns, order, n, m) > keptOf(columns, plain, n, m) ? order : plain;
  const blocks = units / m;
  if (blocks < 2) return best;
  const kept = Float64Array.from({ length: blocks }, (_, b) => keptBy(columns, best, b * m, n, m));
  const random = new Random(0, `swaps of ${units}`);
  const tries = Math.min(50 * units, Math.floor(BUDGET / (2 * m * columns.rows)));
  for (let i = 0; i < tries; i++) {
    const [a, b] = [random.integer(units), random.integer(units)];
    const [x, y] = [Math.floor(a / m), Math.floor(b / m)];
    if (x === y) continue;
    [best[a], best[b]] = [best[b] as number, best[a] as number];
    const [left, right] = [keptBy(columns, best, x * m, n, m), keptBy(columns, best, y * m, n, m)];
    if (left + right > (kept[x] as number) + (kept[y] as number)) {
      kept[x] = left;
      kept[y] = right;
    } else [best[a], best[b]] = [best[b] as number, best[a] as number];
  }
  return best;
}

/** The largest channels each into a block of its own, the next ones behind them. */
function dealt({ values, rows }: Columns, units: number, m: number): number[] {
  const size = Float64Array.from({ length: units }, (_, u) => {
    let sum = 0;
    for (let r = 0; r < rows; r++) sum += values[u * rows + r] as number;
    return sum;
  });
  const sorted = Array.from({ length: units }, (_, i) => i).sort(
    (a, b) => (size[b] as number) - (size[a] as number) || a - b,
  );
  const blocks = units / m;
  const order = new Array<number>(units);
  sorted.forEach((unit, i) => {
    order[(i % blocks) * m + Math.floor(i / blocks)] = unit;
  });
  return order;
}

/** Unit order[i] takes the places of unit i, in all weights. */
function reorder({ weights }: Group, order: readonly number[]): void {
  const moves = new Map<Value, Map<number, number[]>>();
  for (const { value, axis, size, positions } of weights) {
    const axes = moves.get(value) ?? new Map<number, number[]>();
    moves.set(value, axes);
    const indices = axes.get(axis) ?? Array.from({ length: size }, (_, i) => i);
    axes.set(axis, indices);
    order.forEach((from, to) => {
      positions[to]?.forEach((place, k) => {
        indices[place] = positions[from]?.[k] as number;
      });
    });
  }
  for (const [value, axes] of moves) {
    if (value.data) value.data = selectTensor(value.data, axes);
  }
}
