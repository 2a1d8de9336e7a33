// What a person wants to know first about a model: interface, size, work, precision, sparsity.

import {
  allGraphs,
  type Dim,
  type Model,
  type Node,
  printDim,
  printType,
  type Value,
} from '../graph/index.ts';
import type { DType } from '../tensor/dtype.ts';
import { countElements, isCountable } from '../tensor/stats.ts';

export interface PortSummary {
  readonly name: string;
  readonly type: string;
}

export interface PrecisionRow {
  readonly dtype: DType;
  readonly tensors: number;
  readonly elements: number;
  readonly bytes: number;
}

export interface Sparsity {
  readonly elements: number;
  readonly zeros: number;
  /** Weights that hold NaN or infinity. */
  readonly notFinite: readonly string[];
}

export interface Summary {
  readonly producer: string;
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly inputs: readonly PortSummary[];
  readonly outputs: readonly PortSummary[];
  readonly operators: readonly { readonly op: string; readonly count: number }[];
  readonly precision: readonly PrecisionRow[];
  readonly nodes: number;
  readonly subgraphs: number;
  readonly functions: number;
  readonly weightBytes: number;
}

export function summarizeModel(model: Model): Summary {
  const graphs = [...allGraphs(model)];
  const initializers = new Set(model.graph.initializers);
  return {
    producer: `${model.producerName} ${model.producerVersion}`.trim(),
    irVersion: model.irVersion,
    opsets: Object.fromEntries([...model.opsets].map(([domain, v]) => [domain || 'ai.onnx', v])),
    metadata: Object.fromEntries(model.metadata),
    inputs: model.graph.inputs.filter((value) => !initializers.has(value)).map(port),
    outputs: model.graph.outputs.map(port),
    operators: countOperators(graphs.flatMap((graph) => [...graph.nodes])),
    precision: precisionRows(weightsOf(model)),
    nodes: graphs.reduce((sum, graph) => sum + graph.nodeCount, 0),
    subgraphs: graphs.length - 1 - model.functions.length,
    functions: model.functions.length,
    weightBytes: weightBytes(model),
  };
}

/** Initializers of every graph of the model. */
export function weightsOf(model: Model): Value[] {
  return [...allGraphs(model)].flatMap((graph) => [...graph.initializers]);
}

/** Bytes of all initializers. */
export function weightBytes(model: Model): number {
  return weightsOf(model).reduce((sum, value) => sum + (value.data?.byteLength ?? 0), 0);
}

/** Reads every weight once, in pieces. */
export async function measureSparsity(model: Model): Promise<Sparsity> {
  let elements = 0;
  let zeros = 0;
  const notFinite: string[] = [];
  for (const { name, data } of weightsOf(model)) {
    if (!data || !isCountable(data.dtype)) continue;
    const count = await countElements(data);
    elements += count.elements;
    zeros += count.zeros;
    if (count.nans + count.infinities > 0) notFinite.push(name);
  }
  return { elements, zeros, notFinite };
}

/** A number where the sizes are known, an expression where they are symbolic, `?` where unknown. */
export function dimToJson(dim: Dim | undefined): number | string {
  if (dim === undefined) return '?';
  return typeof dim === 'number' ? dim : printDim(dim);
}

function port(value: Value): PortSummary {
  return { name: value.name, type: printType(value.type) };
}

function countOperators(nodes: readonly Node[]) {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const op = node.domain ? `${node.domain}.${node.op}` : node.op;
    counts.set(op, (counts.get(op) ?? 0) + 1);
  }
  return [...counts].map(([op, count]) => ({ op, count })).sort((a, b) => b.count - a.count);
}

function precisionRows(weights: readonly Value[]): PrecisionRow[] {
  const rows = new Map<DType, { tensors: number; elements: number; bytes: number }>();
  for (const { data } of weights) {
    if (!data) continue;
    const row = rows.get(data.dtype) ?? { tensors: 0, elements: 0, bytes: 0 };
    rows.set(data.dtype, {
      tensors: row.tensors + 1,
      elements: row.elements + data.size,
      bytes: row.bytes + data.byteLength,
    });
  }
  return [...rows].map(([dtype, row]) => ({ dtype, ...row })).sort((a, b) => b.bytes - a.bytes);
}
