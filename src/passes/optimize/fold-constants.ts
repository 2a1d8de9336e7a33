// Whatever depends on constants only is computed once, on onnxruntime, and stored. A result may be
// stored when it is small, or no bigger than the weights that go with it.

import { Graph, graphsOf, isStatic, Model, Node, type Type, Value } from '../../graph/index.ts';
import { constantData, lookup } from '../../ops/index.ts';
import { byteLengthOf, elementCount } from '../../tensor/dtype.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import type { Pass, PassContext } from '../pass.ts';

/** Shapes, masks, position tables of short sequences: worth a node whatever they replace. */
const SMALL_BYTES = 4096;
/** More is no constant that a runtime wants to load at once. */
const MAX_BYTES = 2 ** 30;
/** Quantised weights must stay quantised. */
const KEPT = new Set(['DequantizeLinear', 'QuantizeLinear', 'DynamicQuantizeLinear', 'Constant']);

const pass: Pass = {
  name: 'fold-constants',
  summary: 'Computes what depends on constants only, where the result is not bigger',
  level: 'basic',
  async run(model, context) {
    let changed = false;
    for (const graph of [...graphsOf(model.graph)]) {
      changed = (await foldGraph(model, graph, context)) || changed;
    }
    return changed;
  },
};

export default pass;

async function foldGraph(model: Model, graph: Graph, context: PassContext): Promise<boolean> {
  const nodes = foldable(model, graph);
  // Taking one back makes what it reads a result of its own, which may then be too big in turn.
  for (let settled = false; !settled; ) {
    settled = true;
    for (const node of nodes) {
      if (!isFrontier(node, nodes, graph) || isWorthStoring(node, nodes)) continue;
      nodes.delete(node);
      context.note(node, 'its result would be bigger than what it is computed from');
      settled = false;
    }
  }
  const wanted = [...nodes].flatMap((node) => node.outputs.filter((v) => leaves(v, nodes, graph)));
  if (wanted.length === 0) return false;
  const results = await compute(model, wanted, context);
  let changed = false;
  for (const value of wanted) {
    const data = results.get(value.name);
    if (!data || data.byteLength > MAX_BYTES) continue;
    const { name } = value;
    const stored = graph.addInitializer(name, data);
    graph.replace(value, stored);
    value.name = graph.fresh(`${name}_folded`);
    stored.name = name;
    changed = true;
  }
  for (const node of [...nodes].reverse()) {
    if (node.outputs.every((v) => v.uses.length === 0 && !graph.outputs.includes(v)))
      graph.remove(node);
  }
  return changed;
}

/** Nodes whose inputs never change, in order. */
function foldable(model: Model, graph: Graph): Set<Node> {
  const found = new Set<Node>();
  for (const node of graph.nodes) {
    const spec = lookup(node);
    if (!spec || spec.pure === false || node.subgraphs().length > 0) continue;
    if (KEPT.has(node.op) || model.functionOf(node.op, node.domain)) continue;
    if (!node.outputs.every((v) => !v.name || canStore(v.type))) continue;
    const fixed = (value: Value | undefined) =>
      value === undefined ||
      (value.producer !== undefined && found.has(value.producer)) ||
      constantData(value) !== undefined;
    if (node.inputs.every(fixed)) found.add(node);
  }
  return found;
}

/** Types that onnxruntime hands out to Node and every runtime reads back. */
function canStore(type: Type | undefined): boolean {
  if (type?.kind !== 'tensor' || type.dtype === undefined) return false;
  const { dtype } = type;
  return !dtype.startsWith('float8') && !dtype.startsWith('complex') && byteLengthOf(dtype, 8) >= 8;
}

/** Whether a value is read by something that is not folded with it. */
function leaves(value: Value, nodes: ReadonlySet<Node>, graph: Graph): boolean {
  // Outputs of the graph need a node that makes them.
  if (graph.outputs.includes(value)) return false;
  return value.uses.some((use) => !nodes.has(use.node));
}

function isFrontier(node: Node, nodes: ReadonlySet<Node>, graph: Graph): boolean {
  return node.outputs.some((value) => leaves(value, nodes, graph));
}

function isWorthStoring(node: Node, nodes: ReadonlySet<Node>): boolean {
  let bytes = 0;
  for (const { type, name } of node.outputs) {
    if (!name || type?.kind !== 'tensor' || !type.dtype) continue;
    // The size of what depends on values (NonZero …) is bounded by its inputs.
    if (type.shape && isStatic(type.shape))
      bytes += byteLengthOf(type.dtype, elementCount(type.shape));
  }
  return bytes <= SMALL_BYTES || bytes <= freedBytes(node, nodes);
}

/** Bytes of the initializers that only this result needs. */
function freedBytes(node: Node, nodes: ReadonlySet<Node>): number {
  const cone = new Set<Node>();
  const weights = new Set<Value>();
  const visit = (at: Node) => {
    if (cone.has(at)) return;
    cone.add(at);
    for (const input of at.inputs) {
      if (input?.data) weights.add(input);
      else if (input?.producer && nodes.has(input.producer)) visit(input.producer);
    }
  };
  visit(node);
  return [...weights]
    .filter((value) => value.uses.every((use) => cone.has(use.node)))
    .reduce((sum, value) => sum + (value.data?.byteLength ?? 0), 0);
}

/** All results in one run; where that fails, each on its own, and the failing ones stay. */
async function compute(
  model: Model,
  wanted: readonly Value[],
  context: PassContext,
): Promise<Feeds> {
  try {
    return await context.run(coneOf(model, wanted), new Map());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (wanted.length === 1) {
      const [value] = wanted;
      if (value?.producer) context.note(value.producer, `it could not be computed: ${reason}`);
      return new Map();
    }
    const parts: Feeds[] = [];
    for (const value of wanted) parts.push(await compute(model, [value], context));
    return new Map(parts.flatMap((part) => [...part]));
  }
}

/** A model of just the nodes that the wanted values depend on. */
function coneOf(model: Model, wanted: readonly Value[]): Model {
  const graph = new Graph('constants');
  const twins = new Map<Value, Value>();
  const copy = (value: Value): Value => {
    const known = twins.get(value);
    if (known) return known;
    const data = value.data;
    const twin = new Value(value.name, value.type, data);
    twins.set(value, twin);
    if (data) graph.initializers.add(twin);
    else if (value.producer) copyNode(value.producer);
    return twin;
  };
  const done = new Set<Node>();
  const copyNode = (node: Node) => {
    if (done.has(node)) return;
    done.add(node);
    const inputs = node.inputs.map((value) => value && copy(value));
    const outputs = node.outputs.map(
      (value) => twins.get(value) ?? new Value(value.name, value.type),
    );
    node.outputs.forEach((value, i) => {
      twins.set(value, outputs[i] as Value);
    });
    const { op, domain, attrs, name } = node;
    graph.append(new Node({ op, domain, name, inputs, outputs, attrs }));
  };
  graph.outputs = wanted.map(copy);
  return new Model(graph, model.opsets, Math.max(model.irVersion, 4));
}
