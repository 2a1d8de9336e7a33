// Collects the axes that the units of a group lie on, one axis after the other.

import type { Node, Value } from '../../graph/index.ts';
import { dtypeInfo, isFloat } from '../../tensor/dtype.ts';
import { layerName } from '../quantize/context.ts';
import type { Axis } from './axis-graph.ts';
import type { Group, Kind, Member } from './group.ts';
import { readersOf } from './readers.ts';
import type { Role } from './roles.ts';
import { isSizeOf } from './unshare.ts';

type Positions = (readonly number[])[];

export class GroupBuilder {
  readonly #units = new Map<number, number>();
  readonly #members: Member[] = [];
  /** Many axes hold units at the same positions: such lists are kept once. */
  readonly #shared: Positions[] = [];
  #axis: Axis | undefined;
  #role: Role | undefined;
  #positions: number[][] = [];

  get units(): number {
    return this.#units.size;
  }

  /** Axes one by one, positions in order; no role for computed values. */
  add(axis: Axis, set: number, position: number, role: Role | undefined): void {
    if (axis !== this.#axis) {
      this.#close();
      this.#axis = axis;
      this.#role = role;
    }
    let unit = this.#units.get(set);
    if (unit === undefined) {
      unit = this.#units.size;
      this.#units.set(set, unit);
    }
    const list = this.#positions[unit];
    if (list) list.push(position);
    else this.#positions[unit] = [position];
  }

  #close(): void {
    if (!this.#axis) return;
    const { value, axis, size } = this.#axis;
    const found = this.#shared.find((known) => isEqual(known, this.#positions));
    if (!found) this.#shared.push(this.#positions);
    const positions = found ?? this.#positions;
    this.#members.push({ value, axis, size, role: this.#role, positions });
    this.#positions = [];
    this.#axis = undefined;
  }

  /** Undefined where there is no weight, or only one unit. */
  group(
    id: number,
    inexact: ReadonlySet<number>,
    headSets: ReadonlySet<number>,
  ): Group | undefined {
    this.#close();
    const weights = this.#members.filter(({ role }) => role !== undefined);
    // Vectors of sizes and indices are no weights, nor is what only lends its shape.
    if (!weights.some(({ value }) => isNumeric(value)) || this.units < 2) return undefined;
    const layers = layersOf(weights, ['makes', 'sums']);
    const makers = layersOf(weights, ['makes']);
    const sets = [...this.#units.keys()];
    const exact = !sets.some((set) => inexact.has(set));
    const isHead = sets.some((set) => headSets.has(set));
    const [first] = [...makers, ...layers];
    return {
      id,
      name: first ? layerName(first) : (weights[0]?.value.name ?? ''),
      kind: isHead ? 'head' : kindOf(layers, exact),
      units: this.units,
      weights,
      values: this.#members.filter(({ role }) => role === undefined),
      layers,
      makers,
      exact,
    };
  }
}

function isNumeric({ dtype, uses }: Value): boolean {
  if (uses.every(({ node }) => isSizeOf(node))) return false;
  return dtype !== undefined && (isFloat(dtype) || dtypeInfo(dtype).bits <= 8);
}

function isEqual(a: Positions, b: Positions): boolean {
  if (a.length !== b.length) return false;
  return a.every((positions, unit) => {
    const other = b[unit];
    return positions.length === other?.length && positions.every((at, i) => at === other[i]);
  });
}

function layersOf(weights: readonly Member[], roles: readonly Role[]): Node[] {
  const found = new Set<Node>();
  for (const { role, value } of weights) {
    if (role && roles.includes(role)) for (const node of readersOf(value)) found.add(node);
  }
  return [...found];
}

function kindOf(layers: readonly Node[], exact: boolean): Kind {
  const convolutions = layers.filter((node) => node.op.includes('Conv')).length;
  if (convolutions * 2 > layers.length) return 'channel';
  const isEmbedded = layers.some((node) => node.op === 'Gather');
  return !exact || isEmbedded ? 'hidden' : 'neuron';
}
