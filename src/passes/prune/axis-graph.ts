// All axes of a model and the links between them. An axis is held where a node reads or makes its
// value without saying how it is tied there, and where it is that of a graph's input or output.

import { type Graph, graphsOf, type Model, type Node, type Value } from '../../graph/index.ts';
import {
  type AxisLink,
  type AxisPort,
  constantData,
  contextOf,
  Links,
  lookup,
  slotsOf,
} from '../../ops/index.ts';

/** Why an axis cannot be cut. */
export interface Hold {
  readonly reason: string;
  readonly node?: Node | undefined;
}

export interface Axis {
  readonly id: number;
  readonly value: Value;
  readonly axis: number;
  /** Positions that can be told apart: of [batch * 12] 12. */
  readonly size: number;
}

export interface NodeLinks {
  readonly node: Node;
  readonly links: readonly AxisLink[];
}

export class AxisGraph {
  readonly axes: Axis[] = [];
  readonly nodes: NodeLinks[] = [];
  readonly #ids = new Map<Value, (Axis | undefined)[]>();
  readonly #inputs = new Set<Value>();
  readonly #outputs = new Set<Value>();

  constructor(model: Model) {
    for (const graph of graphsOf(model.graph)) this.#collect(model, graph);
  }

  #collect(model: Model, graph: Graph): void {
    for (const value of graph.inputs) this.#inputs.add(value);
    for (const value of graph.outputs) this.#outputs.add(value);
    for (const node of graph.nodes) {
      for (const value of [...node.inputs, ...node.outputs]) if (value) this.#add(value);
      const links = model.functionOf(node.op, node.domain) ? [] : linksOf(model, node);
      this.nodes.push({ node, links });
    }
  }

  #add(value: Value): void {
    if (this.#ids.has(value)) return;
    const found = value.shape?.map((dim, axis): Axis | undefined => {
      const size = slotsOf(dim);
      if (size === undefined) return undefined;
      const made = { id: this.axes.length, value, axis, size };
      this.axes.push(made);
      return made;
    });
    this.#ids.set(value, found ?? []);
  }

  axisOf({ value, axis }: Pick<AxisPort, 'value' | 'axis'>): Axis {
    const found = this.#ids.get(value)?.[axis];
    if (!found) throw new Error(`axis ${axis} of "${value.name}" is not known`);
    return found;
  }

  axesOf(value: Value): readonly (Axis | undefined)[] {
    return this.#ids.get(value) ?? [];
  }

  /** Initializers and constants. Those that are inputs, too (default values), are cut like others. */
  isWeight(value: Value): boolean {
    if (this.#outputs.has(value)) return false;
    return value.data !== undefined || constantData(value) !== undefined;
  }

  /**
   * Why axes cannot be cut, by id, as far as the given links tell: an axis needs one of them at each
   * place where its value is made or read.
   */
  holds(active: (link: AxisLink) => boolean): Map<number, Hold> {
    const held = new Map<number, Hold>();
    const hold = (axis: Axis | undefined, reason: Hold) => {
      if (axis && !held.has(axis.id)) held.set(axis.id, reason);
    };
    for (const value of this.#ids.keys()) {
      const reason = this.#border(value);
      if (reason) for (const axis of this.axesOf(value)) hold(axis, { reason });
    }
    for (const entry of this.nodes) {
      for (const [axis, reason] of this.#unsaid(entry, active)) hold(axis, reason);
    }
    return held;
  }

  /** The axes that a node says nothing of. */
  *#unsaid(
    { node, links }: NodeLinks,
    active: (link: AxisLink) => boolean,
  ): Iterable<[Axis, Hold]> {
    const said = new Set<string>();
    for (const { a, b } of links.filter(active)) {
      for (const { at, axis } of [a, b]) said.add(`${at}/${axis}`);
    }
    for (const [at, value] of portsOf(node)) {
      for (const axis of this.axesOf(value)) {
        if (axis && !said.has(`${at}/${axis.axis}`)) yield [axis, holdAt(node, value, at, links)];
      }
    }
  }

  #border(value: Value): string | undefined {
    if (this.#outputs.has(value)) return `"${value.name}" is an output of the graph`;
    if (!this.#inputs.has(value) || this.isWeight(value)) return undefined;
    return `"${value.name}" is an input of the graph`;
  }
}

/** Inputs and outputs with their positions, as links count them; what a Constant makes is a weight. */
function* portsOf(node: Node): Generator<[number, Value]> {
  for (const [i, value] of node.inputs.entries()) if (value) yield [i, value];
  for (const [i, value] of node.outputs.entries()) if (!constantData(value)) yield [-1 - i, value];
}

function holdAt(node: Node, value: Value, at: number, links: readonly AxisLink[]): Hold {
  const name = node.domain ? `${node.domain}.${node.op}` : node.op;
  if (links.length === 0 && !lookup(node)?.axes)
    return { reason: `${name} cannot be followed`, node };
  const verb = at < 0 ? 'makes' : 'reads';
  return { reason: `${name} ${verb} "${value.name}" along this axis as a whole`, node };
}

function linksOf(model: Model, node: Node): readonly AxisLink[] {
  const spec = lookup(node);
  if (!spec?.axes) return [];
  const links = new Links(contextOf(model, node));
  spec.axes(links);
  return links.all;
}
