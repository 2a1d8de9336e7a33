// What is trained. ONNX does not say which initializers are weights and which are numbers of a
// formula; weights are those of floating type that a gradient can reach, but for single numbers and
// masks.

import type { Model, Value } from '../graph/index.ts';
import { isFloat } from '../tensor/dtype.ts';
import { elementsOf } from '../tensor/elements.ts';
import { isDataStatistic } from './standardize.ts';

export interface Parameters {
  readonly trained: readonly Value[];
  /** Floating initializers that stay as they are, and why. */
  readonly fixed: ReadonlyMap<Value, string>;
}

/** Beyond this a number in a constant of two values stands for "not this one". */
const MASKED = 1e4;
const BATCHNORM_STATISTICS = new Set([3, 4]);

/** Sorts the floating initializers of the main graph; `frozen` says why one is not to be trained. */
export function parametersOf(
  model: Model,
  frozen: (value: Value) => string | undefined = () => undefined,
): Parameters {
  const trained: Value[] = [];
  const fixed = new Map<Value, string>();
  for (const value of model.graph.initializers) {
    if (!value.dtype || !isFloat(value.dtype) || value.uses.length === 0) continue;
    const reason = whyNot(value) ?? frozen(value);
    if (reason) fixed.set(value, reason);
    else trained.push(value);
  }
  return { trained, fixed };
}

function whyNot(value: Value): string | undefined {
  const shape = value.data?.shape ?? [];
  if (shape.length === 0) return 'a single number';
  const { uses } = value;
  const isStatistic = uses.some(
    ({ node, index }) => node.op === 'BatchNormalization' && BATCHNORM_STATISTICS.has(index),
  );
  if (isStatistic) return 'a running statistic';
  if (uses.every(({ node, index }) => node.op === 'Resize' && index > 0)) return 'not a weight';
  const isScale = uses.every(
    ({ node, index }) => /^(De)?[Qq]uantizeLinear$/.test(node.op) && index > 0,
  );
  if (isScale) return 'a scale';
  if (isDataStatistic(value)) return 'a statistic of the data';
  if (isMask(value)) return 'a mask';
  return undefined;
}

/** Two values, one of them far out: a causal mask. */
function isMask(value: Value): boolean {
  const { data } = value;
  if (!data || data.isDerived || data.shape.length < 2) return false;
  if (!value.uses.every(({ node }) => ['Add', 'Where', 'Min'].includes(node.op))) return false;
  const seen = new Set<number>();
  for (const element of elementsOf(data)) {
    seen.add(Number(element));
    if (seen.size > 2) return false;
  }
  return [...seen].some((number) => Math.abs(number) >= MASKED);
}

/** Weight decay pulls on what multiplies, not on biases and scales of norms. */
export function decays(value: Value): boolean {
  return (value.shape ?? []).length > 1;
}
