// Which reading of a folded axis is followed. [B, S, 768] -> [B, S, 12, 64]: the hidden axis is cut by
// heads or by positions in each head, not by both. Chosen: the factor that can be cut, first one that
// is followed elsewhere already, then heads, then one that no Expand makes, then the largest.

import type { AxisLink, AxisPort } from '../../ops/index.ts';
import { sizeOf } from '../../ops/index.ts';
import type { AxisGraph } from './axis-graph.ts';
import { Union } from './union.ts';

/** Whether a link holds: those of readings that were not chosen do not. */
export function chooseReadings(graph: AxisGraph): (link: AxisLink) => boolean {
  const rating = new Rating(graph);
  const dropped = new Set<AxisLink>();
  let open = graph.nodes.flatMap(({ links }) => rating.readingsOf(links));
  // The clearest first: what it settles makes others clear, from the heads of Q to those of K.
  while (open.length > 0) {
    const clearest = rating.clearest(open);
    open = open.filter((readings) => readings !== clearest);
    const left = clearest.filter(({ link }) => !dropped.has(link));
    const best = rating.best(left);
    if (best) rating.follow(best);
    for (const { link } of left) if (link !== best?.link) dropped.add(link);
  }
  return (link) => !dropped.has(link);
}

/** Axes tied position by position are of one class. */
class Rating {
  readonly #graph: AxisGraph;
  readonly #classes: Union;
  readonly #held: ReadonlySet<number>;
  readonly #heads: ReadonlySet<number>;
  /** Stretched out of nothing: an axis that an Expand makes. */
  readonly #made: ReadonlySet<number>;
  readonly #followed = new Set<number>();

  constructor(graph: AxisGraph) {
    this.#graph = graph;
    const all = graph.nodes.flatMap(({ links }) => links);
    this.#classes = new Union(graph.axes.length);
    for (const { a, b } of all) {
      if (!a.factor && !b.factor) this.#classes.join(graph.axisOf(a).id, graph.axisOf(b).id);
    }
    const held = [...graph.holds(() => true).keys()];
    this.#held = new Set(held.map((id) => this.#classes.find(id)));
    const made = all.filter(({ a, b }) => a === b && a.at < 0);
    this.#made = new Set(made.map(({ a }) => this.#classOf(a)));
    this.#heads = new Set(all.filter(({ heads }) => heads).map(({ a }) => this.#classOf(a)));
  }

  #classOf(port: AxisPort): number {
    return this.#classes.find(this.#graph.axisOf(port).id);
  }

  #rate({ id }: Reading): number {
    const [isOpen, isFollowed] = [!this.#held.has(id), this.#followed.has(id)];
    const [isHead, isGiven] = [this.#heads.has(id), !this.#made.has(id)];
    return (isOpen ? 8 : 0) + (isFollowed ? 4 : 0) + (isHead ? 2 : 0) + (isGiven ? 1 : 0);
  }

  best(readings: readonly Reading[]): Reading | undefined {
    const ranked = [...readings].sort((a, b) => this.#rate(b) - this.#rate(a) || b.count - a.count);
    return ranked[0];
  }

  /** The axis whose best reading stands out, first of all where the axis itself is followed. */
  clearest(all: readonly Reading[][]): Reading[] {
    let found: Reading[] = [];
    let highest = -1;
    for (const readings of all) {
      const own = readings[0] && this.#followed.has(readings[0].ownId);
      const rate = Math.max(...readings.map((r) => this.#rate(r))) + (own ? 4 : 0);
      if (rate > highest) [found, highest] = [readings, rate];
    }
    return found;
  }

  follow({ id, ownId }: Reading): void {
    this.#followed.add(id);
    this.#followed.add(ownId);
  }

  /** The alternatives at each axis of a node that has several. */
  readingsOf(links: readonly AxisLink[]): Reading[][] {
    const found = new Map<string, Reading[]>();
    const add = (link: AxisLink, port: AxisPort, other: AxisPort) => {
      if (!port.factor) return;
      const key = `${port.at}/${port.axis}`;
      const count = port.key?.count ?? sizeOf(port);
      const reading = { link, id: this.#classOf(other), ownId: this.#classOf(port), count };
      found.set(key, [...(found.get(key) ?? []), reading]);
    };
    for (const link of links) {
      add(link, link.a, link.b);
      add(link, link.b, link.a);
    }
    return [...found.values()];
  }
}

interface Reading {
  readonly link: AxisLink;
  /** The class of the axis that the factor is elsewhere, and that of the folded axis itself. */
  readonly id: number;
  readonly ownId: number;
  readonly count: number;
}
