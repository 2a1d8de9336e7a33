// Whatever depends on constants only is computed once, on onnxruntime, and stored. A result may be
// stored when it is small, or no bigger than the weights that go with it.

import {
  allGraphs,
  dependenciesOf,
  type Graph,
  isStatic,
  type Model,
  type Node,
  type Type,
  type Value,
} from '../../graph/index.ts';
import { constantData, inferNode } from '../../ops/index.ts';
import { byteLengthOf, elementCount } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { coneOf } from '../cone.ts';
import { constantsToNodes } from '../function-constants.ts';
import { isFunctionBody, mayEdit, type Pass, type PassContext } from '../pass.ts';
import { isPure } from '../pure.ts';

/** Shapes, masks, position tables of short sequences: worth a node whatever they replace. */
const SMALL_BYTES = 1024;
/** What one run may hold, and what all results together may, since they stay in memory. */
const RUN_BYTES = 2 ** 26;
/** Operators that cannot fail on data of the right shape: their results may wait until they are written. */
const LAYOUT = new Set([
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Cast',
  'Slice',
]);
/** Quantised weights must stay quantised; what computes nothing is taken out by others. */
const KEPT = new Set(['DequantizeLinear', 'DynamicQuantizeLinear', 'Constant', 'Identity']);

const pass: Pass = {
  name: 'fold-constants',
  summary: 'Computes what depends on constants only, where the result is not bigger',
  level: 'basic',
  async run(model, context) {
    let changed = false;
    for (const graph of [...allGraphs(model)]) {
      const inGraph = await new Folder(model, graph, context).fold();
      if (inGraph && isFunctionBody(model, graph)) constantsToNodes(graph);
      changed ||= inGraph;
    }
    return changed;
  },
};

export default pass;

class Folder {
  readonly #model: Model;
  readonly #graph: Graph;
  readonly #context: PassContext;
  readonly #nodes: Set<Node>;
  #held = 0;

  constructor(model: Model, graph: Graph, context: PassContext) {
    this.#model = model;
    this.#graph = graph;
    this.#context = context;
    this.#nodes = this.#foldable();
  }

  async fold(): Promise<boolean> {
    // Taking one back makes what it reads a result of its own, which may then be too big in turn.
    for (let tooBig = this.#tooBig(); tooBig.size > 0; tooBig = this.#tooBig()) {
      for (const [node, reason] of tooBig) {
        this.#nodes.delete(node);
        this.#context.note(node, reason);
      }
    }
    let changed = false;
    for (const values of this.#runs()) {
      const [first] = values;
      const results =
        first && this.#mayWait(values) ? this.#defer(first) : await this.#compute(values);
      for (const [value, data] of results) changed = this.#store(value, data) || changed;
    }
    for (const node of [...this.#nodes].reverse()) {
      const isRead = node.outputs.some((v) => v.uses.length > 0 || this.#graph.outputs.includes(v));
      if (!isRead) this.#graph.remove(node);
    }
    return changed;
  }

  /** Nodes whose inputs never change, in order. */
  #foldable(): Set<Node> {
    const found = new Set<Node>();
    // Types of a function's body are those of its calls; what is constant has them anyway.
    const needsTypes = isFunctionBody(this.#model, this.#graph);
    for (const node of this.#graph.nodes) {
      if (needsTypes && node.op === 'Constant') inferNode(this.#model, node);
      if (KEPT.has(node.op) || !isPure(this.#model, node)) continue;
      if ([...node.attrs.values()].some((attr) => attr.type === 'reference')) continue;
      const isFixed = (value: Value) =>
        (value.producer !== undefined && found.has(value.producer)) ||
        constantData(value) !== undefined;
      if (![...dependenciesOf(node)].every(isFixed)) continue;
      if (needsTypes) inferNode(this.#model, node);
      if (node.outputs.every((v) => !v.name || canStore(v.type))) found.add(node);
    }
    return found;
  }

  /** Results that something reads which is not folded with them. */
  #results(node: Node): Value[] {
    // Outputs of the graph need a node that makes them.
    if (node.outputs.some((v) => this.#graph.outputs.includes(v))) return [];
    return node.outputs.filter((v) => v.uses.some((use) => !this.#nodes.has(use.node)));
  }

  #tooBig(): Map<Node, string> {
    const found = new Map<Node, string>();
    // Bytes of weights that go; each pays for one result.
    const purse = new Map<Value, number>();
    for (const node of this.#nodes) {
      const bytes = this.#results(node).reduce((sum, value) => sum + sizeOf(value), 0);
      if (bytes <= SMALL_BYTES) continue;
      if (bytes > RUN_BYTES && !this.#isLayout(node))
        found.set(node, 'its result is too big to compute here');
      else if (!this.#pay(node, bytes, purse))
        found.set(node, 'its result would be bigger than what it is computed from');
    }
    return found;
  }

  #pay(node: Node, bytes: number, purse: Map<Value, number>): boolean {
    const weights = [...this.#weightsBelow(node)].filter((value) =>
      value.uses.every((use) => this.#nodes.has(use.node)),
    );
    for (const value of weights)
      if (!purse.has(value)) purse.set(value, constantData(value)?.byteLength ?? 0);
    const has = weights.reduce((sum, value) => sum + (purse.get(value) ?? 0), 0);
    if (has < bytes) return false;
    let due = bytes;
    for (const value of weights) {
      const part = Math.min(due, purse.get(value) ?? 0);
      purse.set(value, (purse.get(value) ?? 0) - part);
      due -= part;
    }
    return true;
  }

  /** Constants that a node is computed from, through folded nodes. */
  #weightsBelow(node: Node): Set<Value> {
    const seen = new Set<Node>();
    const weights = new Set<Value>();
    const open = [node];
    for (let at = open.pop(); at; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      for (const value of dependenciesOf(at)) {
        const { producer } = value;
        if (producer && this.#nodes.has(producer)) open.push(producer);
        else weights.add(value);
      }
    }
    return weights;
  }

  /** All results in few runs, each within bounds. */
  *#runs(): Generator<Value[]> {
    let batch: Value[] = [];
    let bytes = 0;
    for (const node of this.#nodes) {
      const results = this.#results(node);
      if (results.length === 0) continue;
      let cost = results.reduce((sum, value) => sum + sizeOf(value), 0);
      for (const value of this.#weightsBelow(node)) cost += constantData(value)?.byteLength ?? 0;
      if (batch.length > 0 && bytes + cost > RUN_BYTES) {
        yield batch;
        [batch, bytes] = [[], 0];
      }
      batch.push(...results);
      bytes += cost;
    }
    if (batch.length > 0) yield batch;
  }

  /** Whether one result is so big that holding it and others like it would fill the memory. */
  #mayWait(values: readonly Value[]): boolean {
    const [value] = values;
    if (!value?.producer || values.length > 1 || this.#held + sizeOf(value) <= RUN_BYTES)
      return false;
    return this.#isLayout(value.producer);
  }

  /** Whether nothing but operators that cannot fail makes a result of a constant. */
  #isLayout(result: Node): boolean {
    for (let node: Node | undefined = result; node && this.#nodes.has(node); ) {
      if (node.domain !== '' || !LAYOUT.has(node.op)) return false;
      node = node.input(0)?.producer;
    }
    return true;
  }

  /** A tensor that is computed when somebody reads it. */
  #defer(value: Value): Map<Value, Tensor> {
    const { dtype, shape } = value;
    if (!dtype || !shape || !isStatic(shape)) return new Map();
    const cone = coneOf(this.#model, this.#graph, [value]);
    const { run } = this.#context;
    const compute = async () => {
      const [result] = (await run(cone.model, cone.feeds)).values();
      return result ? result.load() : new Uint8Array();
    };
    const byteLength = sizeOf(value);
    return new Map([[value, new Tensor(dtype, shape, { byteLength, compute })]]);
  }

  /** All in one run; where that fails, each on its own, and the failing ones stay. */
  async #compute(wanted: readonly Value[]): Promise<Map<Value, Tensor>> {
    const results = new Map<Value, Tensor>();
    try {
      const cone = coneOf(this.#model, this.#graph, wanted);
      const names = cone.model.graph.outputs.map((value) => value.name);
      const found = await this.#context.run(cone.model, cone.feeds);
      wanted.forEach((value, i) => {
        const data = found.get(names[i] ?? '');
        if (data) results.set(value, data);
      });
    } catch (error) {
      if (wanted.length === 1) {
        const reason = error instanceof Error ? error.message : String(error);
        const node = wanted[0]?.producer;
        if (node) this.#context.note(node, `it could not be computed: ${reason}`);
        return results;
      }
      for (const value of wanted) {
        for (const [one, data] of await this.#compute([value])) results.set(one, data);
      }
    }
    return results;
  }

  #store(value: Value, data: Tensor): boolean {
    const { name, producer } = value;
    // The size of what depends on values (NonZero …) is seen only now.
    const isKnown = value.shape !== undefined && isStatic(value.shape);
    if (!producer || (!isKnown && data.byteLength > SMALL_BYTES)) return false;
    if (!mayEdit(this.#context, producer)) return false;
    if (!data.isDerived) this.#held += data.byteLength;
    const stored = this.#graph.addInitializer(name, data);
    this.#graph.replace(value, stored);
    value.name = this.#graph.fresh(`${name}_folded`);
    stored.name = name;
    return true;
  }
}

/** 0 where it depends on values. */
function sizeOf({ type }: Value): number {
  if (type?.kind !== 'tensor' || !type.dtype || !type.shape || !isStatic(type.shape)) return 0;
  return byteLengthOf(type.dtype, elementCount(type.shape));
}

/** Types that onnxruntime hands out to Node and every runtime reads back. */
function canStore(type: Type | undefined): boolean {
  if (type?.kind !== 'tensor' || type.dtype === undefined) return false;
  const { dtype } = type;
  return !dtype.startsWith('float8') && !dtype.startsWith('complex') && byteLengthOf(dtype, 8) >= 8;
}
