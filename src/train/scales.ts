// Scales of fake quantisation as parameters (Esser et al. 2020, LSQ). A scale is small beside its
// weights, and each element of its tensor pulls on it: gradients are multiplied with
// 1 / √(elements · largest code), and a scale moves in shares of itself, so that the same rate suits it
// and the weights, whatever the optimiser.

import type { Model, Value } from '../graph/index.ts';
import { dtypeInfo } from '../tensor/dtype.ts';

/** Scales by which floats are rounded, each with the factor of its gradient. */
export function learnedScales(model: Model, ofWeights: ReadonlySet<string>): Map<Value, number> {
  const found = new Map<Value, number>();
  for (const value of model.graph.initializers) {
    const use = value.uses.find(({ node, index }) => node.op === 'QuantizeLinear' && index === 1);
    if (!use || value.dtype !== 'float32') continue;
    const [x] = use.node.inputs as [Value];
    const sizes = (x.shape ?? []).map(Number);
    // Of an activation the elements of one sample.
    const counted = ofWeights.has(value.name) ? sizes : sizes.slice(1);
    const elements = counted.reduce((a, b) => a * b, 1) / (value.data?.size ?? 1);
    found.set(value, 1 / Math.sqrt(Math.max(1, elements) * largestCode(use.node.output)));
  }
  return found;
}

function largestCode({ dtype = 'uint8' }: Value): number {
  const { bits, kind } = dtypeInfo(dtype);
  return 2 ** (kind === 'int' ? bits - 1 : bits) - 1;
}
