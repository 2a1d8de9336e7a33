// What a search for an amount can aim at: parameters, multiply-adds, or bytes of the weights.

import { allGraphs, type Model, substitute, symbolsOf } from '../../graph/index.ts';
import { modelCost } from '../../ops/cost.ts';
import { constantData, inferTypes } from '../../ops/index.ts';
import type { Target } from './channels.ts';

export const TARGETS = ['params', 'flops', 'bytes'] as const;
export type TargetName = (typeof TARGETS)[number];

/** The size that symbolic dimensions are given: only the ratio counts. */
const NOMINAL_SIZE = 64;

export function targetOf(name: TargetName, left: number): Target {
  const cost = { params: parameters, flops: multiplyAdds, bytes: weightBytes }[name];
  return { name, left, cost };
}

function parameters(model: Model): number {
  return modelCost(model).parameters;
}

function multiplyAdds(model: Model): number {
  inferTypes(model);
  const { macs } = modelCost(model);
  if (macs === undefined || typeof macs === 'number') return macs ?? Number.NaN;
  const sizes = new Map(symbolsOf(macs).map((name) => [name, NOMINAL_SIZE]));
  const value = substitute(macs, sizes);
  return typeof value === 'number' ? value : Number.NaN;
}

function weightBytes(model: Model): number {
  let bytes = 0;
  for (const graph of allGraphs(model)) {
    for (const value of graph.initializers) bytes += value.data?.byteLength ?? 0;
    for (const node of graph.nodes)
      if (node.op === 'Constant') bytes += constantData(node.output)?.byteLength ?? 0;
  }
  return bytes;
}
