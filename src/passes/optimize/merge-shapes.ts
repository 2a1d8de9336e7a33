// Sizes that come out equal whatever the inputs are computed once: inference knows the elements of
// shape arithmetic as expressions over the symbolic sizes of the model. A list that is the shape of a
// value at hand is read off it.

import {
  Builder,
  type Dim,
  type Graph,
  graphsOf,
  type Model,
  type Node,
  type Value,
} from '../../graph/index.ts';
import { inferNode } from '../../ops/index.ts';
import { onlyUse } from '../match.ts';
import { mayEdit, type Pass, type PassContext } from '../pass.ts';

const pass: Pass = {
  name: 'merge-shapes',
  summary: 'Computes equal sizes once, and reads them off a value that has them as its shape',
  level: 'basic',
  run(model, context) {
    let changed = false;
    // Names of sizes are only to be trusted within one graph: a body may use them anew.
    for (const graph of graphsOf(model.graph)) {
      changed = new Merger(model, graph, context).run() || changed;
    }
    return changed;
  },
};

export default pass;

class Merger {
  readonly #model: Model;
  readonly #graph: Graph;
  readonly #context: PassContext;
  /** The first value with such elements, and the first one of such a shape. */
  readonly #known = new Map<string, Value>();
  readonly #shaped = new Map<string, Value>();

  constructor(model: Model, graph: Graph, context: PassContext) {
    this.#model = model;
    this.#graph = graph;
    this.#context = context;
  }

  run(): boolean {
    let changed = false;
    for (const value of this.#graph.inputs) this.#noteShape(value);
    for (const node of this.#graph.nodes) {
      for (const output of node.outputs) {
        changed = this.#visit(node, output) || changed;
        this.#noteShape(output);
      }
    }
    return changed;
  }

  #visit(node: Node, output: Value): boolean {
    const key = keyOf(output);
    if (key === undefined) return false;
    const graph = this.#graph;
    const isRead = output.uses.length > 0 || graph.outputs.includes(output);
    const twin = this.#known.get(key);
    if (!twin) {
      const shape = isRead ? this.#readOff(node) : undefined;
      this.#known.set(key, shape ?? output);
      return shape !== undefined;
    }
    if (!isRead || !graph.canReplace(output, twin) || !mayEdit(this.#context, node)) return false;
    graph.replace(output, twin);
    return true;
  }

  #noteShape(value: Value): void {
    const { shape } = value;
    if (!value.name || !shape || shape.length === 0) return;
    const key = textOf(shape);
    if (!this.#shaped.has(key)) this.#shaped.set(key, value);
  }

  /** A Shape in the place of a Concat of sizes, where that spares more than the Concat. */
  #readOff(node: Node): Value | undefined {
    const { output } = node;
    if (node.op !== 'Concat' || node.domain !== '' || output.dtype !== 'int64') return undefined;
    const graph = this.#graph;
    const source = this.#shaped.get(textOf(output.known ?? []));
    const spares = node.inputs.some((v) => v?.producer?.graph === graph && onlyUse(v));
    if (!source || !spares || graph.outputs.includes(output)) return undefined;
    if (!mayEdit(this.#context, node)) return undefined;
    const g = new Builder(graph, node, (made) => inferNode(this.#model, made));
    const shape = g.op('Shape', [source]);
    graph.replace(output, shape);
    return shape;
  }
}

/** What a value holds, if that is symbolic; plain numbers are `fold-shapes`'s. */
function keyOf(value: Value): string | undefined {
  const { known, dtype, shape } = value;
  if (!known || !shape || known.every((dim) => typeof dim === 'number')) return undefined;
  return `${dtype} ${shape.length} ${textOf(known)}`;
}

function textOf(dims: readonly Dim[]): string {
  return dims.map(String).join(', ');
}
