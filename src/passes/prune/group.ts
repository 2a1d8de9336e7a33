// What can be cut from a model, and what has to go together. A unit is a set of positions on axes that
// are tied through the graph: an output channel with the BatchNormalization after it and the input
// channel of every convolution that reads it; a head of attention with its blocks of four weights. A
// group holds the units that lie on the same axes: its units are comparable and can be ranked.

import type { Model, Node, Value } from '../../graph/index.ts';
import { type AxisLink, inferTypes } from '../../ops/index.ts';
import { type Axis, AxisGraph, type Hold } from './axis-graph.ts';
import { GroupBuilder } from './group-builder.ts';
import { chooseReadings } from './readings.ts';
import { type Role, rolesOf } from './roles.ts';
import { Slots } from './slots.ts';

/** The positions on one axis of one value that each unit takes. */
export interface Member {
  readonly value: Value;
  readonly axis: number;
  readonly size: number;
  /** Absent for computed values. */
  readonly role?: Role | undefined;
  /** Positions by unit, ascending. */
  readonly positions: readonly (readonly number[])[];
}

/** `head`: of attention; `hidden`: runs through normalisations over it or an embedding; `channel`: of
 * convolutions; `neuron`: between matrix products. */
export type Kind = 'head' | 'hidden' | 'channel' | 'neuron';

export interface Group {
  /** Number and name in reports; the name is that of the first layer that makes the units. */
  readonly id: number;
  readonly name: string;
  readonly kind: Kind;
  readonly units: number;
  /** Initializers and constants: what is cut. */
  readonly weights: readonly Member[];
  /** Results of nodes: what becomes smaller by it. */
  readonly values: readonly Member[];
  /** Layers (convolutions, matrix products …) whose weights the group cuts. */
  readonly layers: readonly Node[];
  /** Those of them whose results the units are. */
  readonly makers: readonly Node[];
  /** False where removing a unit is not the same as setting it to zero. */
  readonly exact: boolean;
}

/** An axis of a weight that stays whole, and what stopped it. */
export interface Frozen {
  readonly weight: Value;
  readonly axis: number;
  readonly reason: string;
  readonly node?: Node | undefined;
}

/** Inputs that an operator sums over: positions that are gone count as zero there. */
export interface Sum {
  readonly node: Node;
  readonly input: number;
  readonly axis: number;
}

export interface Groups {
  readonly groups: readonly Group[];
  readonly frozen: readonly Frozen[];
  readonly sums: readonly Sum[];
}

/** Infers types, then follows every axis of every weight through the graph. */
export function findGroups(model: Model): Groups {
  inferTypes(model);
  const graph = new AxisGraph(model);
  const isActive = chooseReadings(graph);
  const slots = new Slots(graph);
  const links: AxisLink[] = graph.nodes.flatMap((node) => node.links.filter(isActive));
  for (const link of links) slots.tie(link);
  const state = new Sets(graph, slots, links, graph.holds(isActive));
  const groups = state.groups(rolesOf(graph, isActive));
  const tied = new Set(
    graph.nodes.flatMap((node) =>
      node.links.flatMap(({ a, b }) => [graph.axisOf(a).id, graph.axisOf(b).id]),
    ),
  );
  return { groups, frozen: state.frozen(groups, tied), sums: sumsOf(graph, isActive) };
}

function sumsOf(graph: AxisGraph, isActive: (link: AxisLink) => boolean): Sum[] {
  return graph.nodes.flatMap(({ node, links }) =>
    links
      .filter((link) => link.sums && isActive(link))
      .map(({ a }) => ({ node, input: a.at, axis: a.axis })),
  );
}

class Sets {
  readonly #graph: AxisGraph;
  readonly #slots: Slots;
  readonly #held: ReadonlyMap<number, Hold>;
  /** By set: why it cannot be cut; whether it is mixed; whether it counts heads. */
  readonly #stopped = new Map<number, Hold>();
  readonly #inexact = new Set<number>();
  readonly #heads = new Set<number>();

  constructor(
    graph: AxisGraph,
    slots: Slots,
    links: readonly AxisLink[],
    held: ReadonlyMap<number, Hold>,
  ) {
    this.#graph = graph;
    this.#slots = slots;
    this.#held = held;
    for (const [id, hold] of held) {
      this.#each(graph.axes[id] as Axis, (set) => {
        if (!this.#stopped.has(set)) this.#stopped.set(set, hold);
      });
    }
    for (const { a, exact, heads } of links) {
      if (exact === false) this.#each(graph.axisOf(a), (set) => this.#inexact.add(set));
      if (heads) this.#each(graph.axisOf(a), (set) => this.#heads.add(set));
    }
  }

  #each(axis: Axis, visit: (set: number, position: number) => void): void {
    for (let i = 0; i < axis.size; i++) visit(this.#slots.setAt(axis, i), i);
  }

  /** Sets with the same axes, refined axis by axis; those without weights or on hold are left out. */
  groups(roles: ReadonlyMap<number, Role>): Group[] {
    const classes = this.#partition();
    const byClass = new Map<number, GroupBuilder>();
    for (const axis of this.#graph.axes) {
      const isWeight = this.#graph.isWeight(axis.value);
      this.#each(axis, (set, position) => {
        const key = classes[set] as number;
        if (this.#stopped.has(set)) return;
        let builder = byClass.get(key);
        if (!builder) {
          builder = new GroupBuilder();
          byClass.set(key, builder);
        }
        builder.add(axis, set, position, isWeight ? (roles.get(axis.id) ?? 'follows') : undefined);
      });
    }
    const found: Group[] = [];
    for (const builder of byClass.values()) {
      const group = builder.group(found.length, this.#inexact, this.#heads);
      if (group) found.push(group);
    }
    return found;
  }

  /** The class of every set, by its first slot. */
  #partition(): Int32Array {
    const classes = new Int32Array(this.#slots.count);
    const seen = new Int32Array(this.#slots.count).fill(-1);
    const names = new Map<number, number>();
    const { axes } = this.#graph;
    for (const axis of axes) {
      this.#each(axis, (set) => {
        if (seen[set] === axis.id) return;
        seen[set] = axis.id;
        const name = (classes[set] as number) * axes.length + axis.id;
        const next = names.get(name) ?? names.size + 1;
        names.set(name, next);
        classes[set] = next;
      });
    }
    return classes;
  }

  /** Axes of weights that no group cuts; those that no operator ties (kernel sizes) are left out. */
  frozen(groups: readonly Group[], tied: ReadonlySet<number>): Frozen[] {
    const cut = new Set<number>();
    for (const { weights } of groups) {
      for (const { value, axis } of weights) cut.add(this.#graph.axisOf({ value, axis }).id);
    }
    const found: Frozen[] = [];
    for (const axis of this.#graph.axes) {
      const { value, size } = axis;
      if (size === 1 || cut.has(axis.id) || !this.#graph.isWeight(value)) continue;
      if (!tied.has(axis.id) && this.#isPartlyTied(value, tied)) continue;
      const hold = this.#held.get(axis.id) ?? this.#firstHold(axis);
      const reason = hold?.reason ?? 'all of it hangs together';
      found.push({ weight: value, axis: axis.axis, reason, node: hold?.node });
    }
    return found;
  }

  #isPartlyTied(value: Value, tied: ReadonlySet<number>): boolean {
    const axes = this.#graph.axesOf(value);
    return axes.length < 2 || axes.some((axis) => axis && tied.has(axis.id));
  }

  #firstHold(axis: Axis): Hold | undefined {
    for (let i = 0; i < axis.size; i++) {
      const hold = this.#stopped.get(this.#slots.setAt(axis, i));
      if (hold) return hold;
    }
    return undefined;
  }
}
