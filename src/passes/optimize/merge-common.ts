// Common subexpressions: two nodes that do the same to the same values are one.

import { type Attr, type Graph, type Model, type Node, Value } from '../../graph/index.ts';
import { mayEdit, type Pass, type PassContext } from '../pass.ts';
import { isPure } from '../pure.ts';

/** Bigger tensors in attributes are compared by identity only. */
const MAX_ATTRIBUTE_BYTES = 1024;

/** a op b = b op a, bit for bit. */
const COMMUTATIVE = new Set(
  `Add And BitwiseAnd BitwiseOr BitwiseXor Equal Max Mean Min Mul Or Sum Xor`.split(' '),
);

const pass: Pass = {
  name: 'merge-common',
  summary: 'Computes equal expressions once',
  level: 'basic',
  run(model, context) {
    const merger = new Merger(model, context);
    return [model.graph, ...model.functions.map((f) => f.graph)]
      .map((graph) => merger.visit(graph, new Map()))
      .some(Boolean);
  },
};

export default pass;

class Merger {
  readonly #ids = new Map<object, number>();
  readonly #model: Model;
  readonly #context: PassContext;

  constructor(model: Model, context: PassContext) {
    this.#model = model;
    this.#context = context;
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
      else if (canMerge(graph, node, twin) && mayEdit(this.#context, node)) {
        merge(graph, node, twin);
        changed = true;
      }
    }
    return changed;
  }

  #keyOf(node: Node): string | undefined {
    if (node.subgraphs().length > 0 || !isPure(this.#model, node)) return undefined;
    const inputs = node.inputs.map((value) => (value ? this.#id(value) : '-'));
    if (node.domain === '' && COMMUTATIVE.has(node.op) && node.attrs.size === 0) inputs.sort();
    const attrs = [...node.attrs]
      .map(([name, value]) => `${name}=${this.#attribute(value)}`)
      .sort();
    const made = node.outputs.map((output) => (output.name ? 1 : 0));
    return `${node.domain}:${node.op}(${inputs})[${made}]{${attrs}}`;
  }

  #attribute(value: Attr): string {
    if (value.type === 'tensor') {
      const { dtype, shape, byteLength, isDerived } = value.value;
      const small = byteLength <= MAX_ATTRIBUTE_BYTES && dtype !== 'string' && !isDerived;
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

function pairsOf(node: Node, twin: Node): [Value, Value][] {
  return node.outputs
    .map((output, i): [Value, Value] => [output, twin.outputs[i] ?? new Value('')])
    .filter(([output]) => output.name !== '');
}

function canMerge(graph: Graph, node: Node, twin: Node): boolean {
  return pairsOf(node, twin).every(([old, by]) => graph.canReplace(old, by));
}

function merge(graph: Graph, node: Node, twin: Node): void {
  for (const [old, by] of pairsOf(node, twin)) graph.replace(old, by);
  graph.remove(node);
}
