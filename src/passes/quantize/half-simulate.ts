// What a half model computes where half has kernels. onnxruntime's CPU provider runs most float16
// nodes in float32 and drops the Casts between them, so that nothing is rounded and nothing overflows
// there: running the model says little about a GPU. Here everything is float32, and each result is
// cast to half and back, which onnxruntime keeps.

import {
  attr,
  type Graph,
  graphsOf,
  type Model,
  Node,
  tensorType,
  Value,
} from '../../graph/index.ts';
import { inferTypes } from '../../ops/index.ts';
import { dtypeCode } from '../../tensor/dtype.ts';
import type { Half } from './half-ops.ts';

/** A copy that rounds to half as the model does; values keep their names, as float32. */
export function simulateHalf(model: Model): Model {
  const copy = model.clone();
  inferTypes(copy);
  const widened = new Set<Value>();
  for (const graph of [...graphsOf(copy.graph)]) simulateGraph(graph, widened);
  return copy;
}

/** `widened`: float32 values that stand for halves. */
function simulateGraph(graph: Graph, widened: Set<Value>): void {
  const wasHalf = (value: Value | undefined) =>
    value !== undefined && (halfOf(value) !== undefined || widened.has(value));
  const [first] = graph.nodes;
  const nodes = [...graph.nodes];
  // What has a home outside of a node: stays half, and is widened for its readers.
  for (const value of [...graph.inputs, ...graph.initializers]) {
    if (halfOf(value) && value.producer === undefined) widen(value, graph, first, widened);
  }
  // A Cast rounds by itself; everything else that reads halves is float32 from here on.
  const isRaw = nodes.map(
    (node) => node.op !== 'Cast' && node.subgraphs().length === 0 && node.inputs.some(wasHalf),
  );
  nodes.forEach((node, i) => {
    const next = node.place.next;
    for (const value of node.outputs) {
      const half = halfOf(value);
      if (!half || !value.name) continue;
      if (isRaw[i]) roundTrip(value, half, graph, next, widened);
      else widen(value, graph, next, widened);
    }
  });
}

function halfOf(value: Value | undefined): Half | undefined {
  const dtype = value?.dtype;
  return dtype === 'float16' || dtype === 'bfloat16' ? dtype : undefined;
}

/** Readers that compute take float32; borders of subgraphs and of the model stay half. */
function widen(value: Value, graph: Graph, next: Node | undefined, widened: Set<Value>): void {
  const readers = value.uses.filter(({ node }) => node.subgraphs().length === 0);
  const { name } = value;
  if (readers.length === 0) return;
  const isFixed = value.producer === undefined || graph.outputs.includes(value);
  if (!isFixed) value.name = graph.fresh(`${name}_half`);
  const wide = castTo(value, 'float32', isFixed ? graph.fresh(`${name}_wide`) : name, graph, next);
  widened.add(wide);
  for (const { node, index } of readers) node.setInput(index, wide);
}

/** A result of float32 arithmetic, rounded to half. */
function roundTrip(
  value: Value,
  half: Half,
  graph: Graph,
  next: Node | undefined,
  widened: Set<Value>,
): void {
  const { name } = value;
  const readers = [...value.uses];
  value.name = graph.fresh(`${name}_raw`);
  value.type = tensorType('float32', value.shape);
  const isOutput = graph.outputs.includes(value);
  const rounded = castTo(value, half, isOutput ? name : graph.fresh(`${name}_half`), graph, next);
  for (const { node, index } of readers) node.setInput(index, rounded);
  graph.outputs = graph.outputs.map((output) => (output === value ? rounded : output));
  const compute = readers.filter(({ node }) => node.subgraphs().length === 0);
  if (compute.length === 0 && isOutput) return;
  const wide = castTo(
    rounded,
    'float32',
    isOutput ? graph.fresh(`${name}_wide`) : name,
    graph,
    next,
  );
  widened.add(wide);
  for (const { node, index } of compute) node.setInput(index, wide);
}

function castTo(
  value: Value,
  dtype: Half | 'float32',
  name: string,
  graph: Graph,
  next: Node | undefined,
): Value {
  const result = new Value(name, tensorType(dtype, value.shape));
  const attrs = new Map([['to', attr.int(dtypeCode(dtype))]]);
  const node = new Node({ op: 'Cast', inputs: [value], outputs: [result], attrs });
  if (next) graph.insertBefore(next, node);
  else graph.append(node);
  return result;
}
