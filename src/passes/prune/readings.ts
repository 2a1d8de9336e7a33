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
  for (const { links } of graph.nodes) {
    for (const readings of readingsOf(links)) {
      const open = readings.filter(({ link }) => !dropped.has(link));
      const best = rating.best(open);
      for (const { link } of open) if (link !== best?.link) dropped.add(link);
    }
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

  #rate({ other }: Reading): number {
    const id = this.#classOf(other);
    const [isOpen, isFollowed] = [!this.#held.has(id), this.#followed.has(id)];
    const [isHead, isGiven] = [this.#heads.has(id), !this.#made.has(id)];
    return (isOpen ? 8 : 0) + (isFollowed ? 4 : 0) + (isHead ? 2 : 0) + (isGiven ? 1 : 0);
  }

  best(readings: readonly Reading[]): Reading | undefined {
    const ranked = [...readings].sort((a, b) => this.#rate(b) - this.#rate(a) || b.count - a.count);
    const [first] = ranked;
    if (first) this.#followed.add(this.#classOf(first.other));
    return first;
  }
}

interface Reading {
  readonly link: AxisLink;
  readonly other: AxisPort;
  readonly count: number;
}

/** The alternatives at each axis of a node that has several. */
function readingsOf(links: readonly AxisLink[]): Reading[][] {
  const found = new Map<string, Reading[]>();
  const add = (link: AxisLink, port: AxisPort, other: AxisPort) => {
    if (!port.factor) return;
    const key = `${port.at}/${port.axis}`;
    const count = port.key?.count ?? sizeOf(port);
    found.set(key, [...(found.get(key) ?? []), { link, other, count }]);
  };
  for (const link of links) {
    add(link, link.a, link.b);
    add(link, link.b, link.a);
  }
  return [...found.values()];
}
