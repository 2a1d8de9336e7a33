// One slot for each position on each axis of a model; slots that links tie are in one set, which is
// what has to be cut together.

import { type AxisLink, type AxisPort, keyAt } from '../../ops/index.ts';
import type { Axis, AxisGraph } from './axis-graph.ts';
import { Union } from './union.ts';

export class Slots {
  readonly #graph: AxisGraph;
  readonly #starts: Int32Array;
  readonly #union: Union;

  constructor(graph: AxisGraph) {
    this.#graph = graph;
    this.#starts = new Int32Array(graph.axes.length + 1);
    graph.axes.forEach(({ size }, i) => {
      this.#starts[i + 1] = (this.#starts[i] as number) + size;
    });
    this.#union = new Union(this.#starts[graph.axes.length] as number);
  }

  get count(): number {
    return this.#starts[this.#graph.axes.length] as number;
  }

  /** The set that a position belongs to, as the number of its first slot. */
  setAt(axis: Axis, position: number): number {
    return this.#union.find((this.#starts[axis.id] as number) + position);
  }

  tie(link: AxisLink): void {
    const { a, b } = link;
    const [from, to] = [this.#graph.axisOf(a), this.#graph.axisOf(b)];
    if (!a.key && !b.key) {
      if (from !== to) for (let i = 0; i < from.size; i++) this.#join(from, i, to, i);
      return;
    }
    const first = new Map<number, readonly [Axis, number]>();
    for (const [port, axis] of [
      [a, from],
      [b, to],
    ] as const) {
      for (let i = 0; i < axis.size; i++) this.#tieKey(first, port, axis, i);
    }
  }

  #tieKey(
    first: Map<number, readonly [Axis, number]>,
    port: AxisPort,
    axis: Axis,
    position: number,
  ): void {
    const key = keyAt(port.key, position);
    if (key === undefined) return;
    const known = first.get(key);
    if (known) this.#join(known[0], known[1], axis, position);
    else first.set(key, [axis, position]);
  }

  #join(a: Axis, i: number, b: Axis, j: number): void {
    const [x, y] = [this.#starts[a.id] as number, this.#starts[b.id] as number];
    this.#union.join(x + i, y + j);
  }
}
