// One row per node: what it is, what it makes, what it costs, in what precision its weights are.

import { allGraphs, type Dim, type Model, type Node, printType } from '../graph/index.ts';
import { nodeCost } from '../ops/cost.ts';
import { constantData } from '../ops/index.ts';

export interface LayerRow {
  readonly name: string;
  readonly op: string;
  /** Type of the first output. */
  readonly output: string;
  readonly parameters: number;
  readonly weightBytes: number;
  /** Element types of the constant inputs, biggest first. */
  readonly weightTypes: readonly string[];
  /** Multiply-adds of one run. */
  readonly macs: Dim | undefined;
}

export function layersOf(model: Model): LayerRow[] {
  return [...allGraphs(model)].flatMap((graph) =>
    [...graph.nodes].map((node) => layer(model, node)),
  );
}

function layer(model: Model, node: Node): LayerRow {
  const weights = node.inputs.flatMap((value) => {
    const data = value && constantData(value);
    return data ? [data] : [];
  });
  weights.sort((a, b) => b.byteLength - a.byteLength);
  return {
    name: node.name || (node.outputs[0]?.name ?? ''),
    op: node.domain ? `${node.domain}.${node.op}` : node.op,
    output: printType(node.outputs[0]?.type),
    parameters: weights.reduce((sum, data) => sum + data.size, 0),
    weightBytes: weights.reduce((sum, data) => sum + data.byteLength, 0),
    weightTypes: [...new Set(weights.map((data) => data.dtype))],
    macs: nodeCost(model, node),
  };
}
