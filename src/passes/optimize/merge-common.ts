// Common subexpressions: two nodes that do the same to the same values are one.

import { type Attr, type Graph, type Model, type Node, Value } from '../../graph/index.ts';
import { lookup } from '../../ops/index.ts';
import type { Pass } from '../pass.ts';

/** Bigger tensors in attributes are compared by identity only. */
const MAX_ATTRIBUTE_BYTES = 1024;

const pass: Pass = {
  name: 'merge-common',
  summary: 'Computes equal expressions once',
  level: 'basic',
  run(model) {
    const merger = new Merger(model);
    return [model.graph, ...model.functions.map((f) => f.graph)]
      .map((graph) => merger.visit(graph, new Map()))
      .some(Boolean);
  },
};

export default pass;

class Merger {
  readonly #ids = new Map<object, number>();
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
  }

  /** `around`: expressions of the graphs around this one, which its nodes may read. */
  visit(graph: Graph, around: ReadonlyMap<string, Node>): boolean {
    let changed = false;
    const seen = new Map(around);
    for (const node of graph.nodes) {
      for (const inner of node.subgraphs()) changed = this.visit(inner, seen) || changed;
      const key = this.#keyOf(node);
      if (key === undefined) continue;
      const twin = seen.get(key);
      if (!twin) seen.set(key, node);
      else changed = merge(graph, node, twin) || changed;
    }
    return changed;
  }

  #keyOf(node: Node): string | undefined {
    const spec = lookup(node);
    if (!spec || spec.pure === false || node.subgraphs().length > 0) return undefined;
    if (this.#model.functionOf(node.op, node.domain)) return undefined;
    const inputs = node.inputs.map((value) => (value ? this.#id(value) : '-'));
    const attrs = [...node.attrs]
      .map(([name, value]) => `${name}=${this.#attribute(value)}`)
      .sort();
    const made = node.outputs.map((output) => (output.name ? 1 : 0));
    return `${node.domain}:${node.op}(${inputs})[${made}]{${attrs}}`;
  }

  #attribute(value: Attr): string {
    if (value.type === 'tensor') {
      const { dtype, shape, byteLength } = value.value;
      const small = byteLength <= MAX_ATTRIBUTE_BYTES && dtype !== 'string';
      const content = small
        ? Buffer.from(value.value.bytes()).toString('base64')
        : `#${this.#id(value.value)}`;
      return `${dtype}[${shape}]${content}`;
    }
    if (value.type === 'string') return `s${Buffer.from(value.value).toString('base64')}`;
    if (value.type === 'strings') {
      return `S${value.value.map((s) => Buffer.from(s).toString('base64'))}`;
    }
    if (['int', 'float', 'ints', 'floats', 'reference'].includes(value.type)) {
      return `${value.type} ${String(value.value)}`;
    }
    return `#${this.#id(value)}`;
  }

  #id(thing: object): number {
    const id = this.#ids.get(thing) ?? this.#ids.size;
    this.#ids.set(thing, id);
    return id;
  }
}

function merge(graph: Graph, node: Node, twin: Node): boolean {
  const pairs = node.outputs.map(
    (output, i) => [output, twin.outputs[i] ?? new Value('')] as const,
  );
  if (!pairs.every(([old, by]) => old.name === '' || graph.canReplace(old, by))) return false;
  for (const [old, by] of pairs) if (old.name) graph.replace(old, by);
  graph.remove(node);
  return true;
}
