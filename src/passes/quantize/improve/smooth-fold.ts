// Where factors per channel of a value can go before it is made, so that a division costs nothing: the
// scale and bias of a normalisation, a Mul or Add of a constant, the output channels of a linear
// operator; through what is positively homogeneous, and into one side of a product.

import type { Graph, Node, Value } from '../../../graph/index.ts';
import { floatTensor, isCalculable } from '../../../tensor/scale.ts';
import { absorb, linearBefore, perChannel, refusal, setConstant } from '../../linear.ts';
import { constant, isOutput, operands } from '../../match.ts';

/** Multiplies a value by factors along its last axis, for all who read it. */
export type Fold = (factors: Float64Array) => void;

export interface FoldRules {
  readonly width: number;
  /** Rows of a weight with a scale each may be scaled without harm. */
  readonly perChannel: boolean;
}

/** Scale and bias among the inputs of normalisations. */
const NORMS: Readonly<Record<string, readonly number[]>> = {
  ':LayerNormalization': [1, 2],
  ':RMSNormalization': [1],
  ':SimplifiedLayerNormalization': [1],
  'com.microsoft:SimplifiedLayerNormalization': [1],
  'com.microsoft:SkipLayerNormalization': [2, 3],
  'com.microsoft:SkipSimplifiedLayerNormalization': [2],
};

const HOMOGENEOUS = new Set(['Relu', 'LeakyRelu', 'PRelu', 'Identity']);

/** How to scale a value that none but `readers` may read; a text says why nothing takes the factors. */
export function foldInto(value: Value, readers: readonly Node[], rules: FoldRules): Fold | string {
  const other = value.uses.find(({ node, index }) => index !== 0 || !readers.includes(node));
  if (other) return `"${value.name}" is read by ${other.node.describe()}, too`;
  return foldProducer(value, rules);
}

/** As `foldInto`, where it is known who reads the value. */
function foldProducer(value: Value, rules: FoldRules): Fold | string {
  const node = value.producer;
  if (!node?.graph || isOutput(value)) return `"${value.name}" is an input or output of the graph`;
  const norm = NORMS[`${node.domain}:${node.op}`];
  if (norm) return foldNorm(node.graph, node, value, norm, rules);
  if (node.domain !== '') return `${node.describe()} takes no factors`;
  if (HOMOGENEOUS.has(node.op)) return foldBefore(node.input(0), node, rules);
  if (node.op === 'MatMul' || node.op === 'Gemm') return foldLinear(node.graph, value, rules);
  if (node.op === 'Mul') return foldProduct(node.graph, node, rules);
  if (node.op === 'Add') return foldSum(node.graph, node, rules);
  return `${node.describe()} takes no factors`;
}

/** Through `reader`, which alone reads the value. */
function foldBefore(value: Value | undefined, reader: Node, rules: FoldRules): Fold | string {
  const [use, ...others] = value?.uses ?? [];
  if (!value || use?.node !== reader || others.length > 0) {
    return `"${value?.name}" is read more than once`;
  }
  return foldProducer(value, rules);
}

function foldNorm(
  graph: Graph,
  node: Node,
  value: Value,
  indices: readonly number[],
  { width }: FoldRules,
): Fold | string {
  const present = indices.filter((index) => node.input(index));
  const vectors = present.flatMap((index) => constant(node.input(index)) ?? []);
  const fits = vectors.every(({ dtype, size }) => isCalculable(dtype) && size === width);
  if (value !== node.output || vectors.length < present.length || !fits || present.length === 0) {
    return `the scale of ${node.describe()} is not one constant per channel`;
  }
  return (factors) => {
    for (const index of present) scaleVector(graph, node, index, factors);
  };
}

function foldLinear(graph: Graph, value: Value, rules: FoldRules): Fold | string {
  const linear = linearBefore(value);
  const scale = new Float64Array(rules.width).fill(1);
  if (linear?.channels !== rules.width) return `the channels of "${value.name}" are not known`;
  const problem = refusal(linear, { scale });
  if (problem) return problem;
  if (!rules.perChannel) return `${linear.node.describe()} has one scale for all of its channels`;
  return (factors) => absorb({ graph }, linear, { scale: factors });
}

function foldProduct(graph: Graph, node: Node, rules: FoldRules): Fold | string {
  const index = constantIndex(node, rules);
  if (index !== undefined) return (factors) => scaleVector(graph, node, index, factors);
  // Gated: either side may carry the factors.
  const sides = node.inputs.map((value) => foldBefore(value, node, rules));
  return sides.find((fold) => typeof fold === 'function') ?? `${node.describe()} takes no factors`;
}

function foldSum(graph: Graph, node: Node, rules: FoldRules): Fold | string {
  const index = constantIndex(node, rules);
  if (index === undefined) return `${node.describe()} adds two values`;
  const rest = foldBefore(node.input(1 - index), node, rules);
  if (typeof rest === 'string') return rest;
  return (factors) => {
    rest(factors);
    scaleVector(graph, node, index, factors);
  };
}

/** Which operand is a constant with a number per channel, or one for all. */
function constantIndex(node: Node, { width }: FoldRules): number | undefined {
  const rank = node.output.shape?.length;
  const other = operands(node).find(([x, c]) => constant(c) && !constant(x))?.[1];
  if (rank === undefined || !other || !isCalculable(other.dtype)) return undefined;
  const values = perChannel({ rank, axis: rank - 1, channels: width }, other);
  return values && node.inputs.indexOf(other);
}

function scaleVector(graph: Graph, node: Node, index: number, factors: Float64Array): void {
  const value = node.input(index);
  const numbers = perChannel({ rank: 1, axis: 0, channels: factors.length }, value);
  const data = constant(value);
  const vector = numbers ?? perChannel(lastOf(data?.shape ?? [], factors.length), value);
  if (!data || !vector) return;
  const scaled = vector.map((x, k) => x * (factors[k] as number));
  const shape = data.size === 1 ? [factors.length] : data.shape;
  setConstant({ graph }, node, index, floatTensor(data.dtype, shape, scaled));
}

const lastOf = ({ length }: readonly number[], channels: number) => ({
  rank: length,
  axis: length - 1,
  channels,
});
