// What Conv, ConvTranspose, Gemm and MatMul have in common: a constant weight, perhaps a bias, and
// an output axis of channels that each scale and shift on their own. So y * s + t disappears into
// them: W' = W * s (along the output channels), b' = b * s + t.

import type { Dim, Node, Value } from '../graph/index.ts';
import { constantData } from '../ops/index.ts';
import { elementCount } from '../tensor/dtype.ts';
import { floatsOf, floatTensor, isCalculable, scaleAxis, scaleBlocks } from '../tensor/scale.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { constant, dropUnused, numbers, onlyReader, producer } from './match.ts';
import type { RewriteContext } from './pass.ts';

export interface Linear {
  readonly node: Node;
  readonly weight: Value;
  readonly bias: Value | undefined;
  /** Output channels. */
  readonly channels: number;
  /** Rank of the output. */
  readonly rank: number;
  /** Axis of the channels in the output, from the front. */
  readonly axis: number;
}

export const LINEAR = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul'] as const;

/** The linear operator that makes a value, if its sizes are known. */
export function linearBefore(value: Value | undefined): Linear | undefined {
  const node = producer(value, ...LINEAR);
  const weight = node?.input(1);
  const shape = weight?.shape;
  if (!node || !weight || !shape) return undefined;
  const bias = node.input(2);
  const size = (dim: Dim | undefined) => (typeof dim === 'number' ? dim : undefined);
  if (node.op === 'Conv' || node.op === 'ConvTranspose') {
    const perGroup = size(shape[node.op === 'Conv' ? 0 : 1]);
    if (perGroup === undefined) return undefined;
    const channels = node.op === 'Conv' ? perGroup : perGroup * node.int('group', 1);
    return { node, weight, bias, channels, rank: shape.length, axis: 1 };
  }
  const channels = size(shape[node.int('transB', 0) ? 0 : shape.length - 1]);
  const rank = node.op === 'Gemm' ? 2 : node.output.shape?.length;
  if (channels === undefined || rank === undefined || shape.length < 2) return undefined;
  return { node, weight, bias, channels, rank, axis: rank - 1 };
}

/** y * scale + shift per output channel; what is left out is 1 or 0. */
export interface Affine {
  readonly scale?: Float64Array | undefined;
  readonly shift?: Float64Array | undefined;
}

/** Copies of a shared weight up to this size cost less than the node they save. */
const COPY_BYTES = 16 << 10;

/** Why an affine map cannot go into a linear operator; undefined: it can. */
export function refusal(linear: Linear, affine: Affine): string | undefined {
  const { node, weight, bias } = linear;
  if (producer(weight, 'DequantizeLinear') || producer(node.input(0), 'DequantizeLinear')) {
    return `${node.describe()} is quantized`;
  }
  const data = constantData(weight);
  if (affine.scale) {
    if (!data) return `the weight of ${node.describe()} is not constant`;
    if (!isCalculable(data.dtype)) return `the weight of ${node.describe()} is ${data.dtype}`;
    if (weight.uses.length > 1 && data.byteLength > COPY_BYTES) {
      return `the weight of ${node.describe()} is shared with other nodes`;
    }
  }
  if (!isCalculable(weight.dtype)) return `the weight of ${node.describe()} has no known type`;
  if (node.op === 'MatMul' && affine.shift) return `${node.describe()} has no bias`;
  if (!bias) return undefined;
  const terms = constant(bias);
  if (!terms) return `the bias of ${node.describe()} is not constant`;
  if (node.op === 'Gemm' && !isRowBias(terms, linear.channels)) {
    return `C of ${node.describe()} differs from row to row`;
  }
  return undefined;
}

/** Applies an affine map to a linear operator in place; ask `refusal` first. */
export function absorb(
  context: Pick<RewriteContext, 'graph'>,
  linear: Linear,
  affine: Affine,
): void {
  const { node, weight, bias, channels } = linear;
  const { scale, shift } = affine;
  const data = constantData(weight);
  if (scale && data) setConstant(context, node, 1, scaleWeight(linear, data, scale));
  if (!bias && !shift) return;
  const old = biasOf(linear);
  const next = old.map((b, c) => b * (scale?.[c] ?? 1) + (shift?.[c] ?? 0));
  if (node.op === 'Gemm') node.setAttr('beta', undefined);
  if (!bias && next.every((b) => b === 0)) return;
  const dtype = weight.dtype ?? 'float32';
  setConstant(context, node, 2, floatTensor(dtype, [channels], next));
}

/** Gives an input new constant data: in place where only this node reads it, so names stay. */
export function setConstant(
  context: Pick<RewriteContext, 'graph'>,
  node: Node,
  index: number,
  data: Tensor,
): void {
  const { graph } = context;
  const old = node.input(index);
  if (old && old.uses.length === 1 && graph.initializers.has(old) && graph.isConstant(old)) {
    graph.setData(old, data);
    return;
  }
  const role = index === 1 ? 'weight' : 'bias';
  node.setInput(index, graph.addInitializer(old?.name ?? `${node.name || node.op}.${role}`, data));
  dropUnused(graph, old);
}

/** The bias of each channel, beta of Gemm included. */
function biasOf({ node, bias, channels }: Linear): Float64Array {
  const data = constant(bias);
  if (!data) return new Float64Array(channels);
  const values = floatsOf(data);
  const beta = node.float('beta', 1);
  return Float64Array.from(
    { length: channels },
    (_, c) => (values[values.length === 1 ? 0 : c] as number) * beta,
  );
}

/** A bias that holds one number for all, or one per channel. */
function isRowBias(data: Tensor, channels: number): boolean {
  return data.size === 1 || (data.size === channels && (data.shape.at(-1) ?? 1) === channels);
}

function scaleWeight({ node }: Linear, data: Tensor, scale: Float64Array): Tensor {
  const { shape } = data;
  if (node.op === 'Conv') return scaleAxis(data, 0, scale);
  if (node.op === 'Gemm') return scaleAxis(data, node.int('transB', 0) ? 0 : 1, scale);
  if (node.op === 'MatMul') return scaleAxis(data, shape.length - 1, scale);
  // ConvTranspose: W is [C, M/group, …]; the channels of group g come after those of g - 1.
  const [inputs = 1, perGroup = 1] = shape;
  const inputsPerGroup = inputs / node.int('group', 1);
  return scaleBlocks(data, elementCount(shape.slice(2)), (run) => {
    const group = Math.floor(Math.floor(run / perGroup) / inputsPerGroup);
    return scale[group * perGroup + (run % perGroup)] as number;
  });
}

/**
 * The numbers of a constant that, added to or multiplied with the output of a linear operator, is
 * one number per channel and does not widen the output.
 */
export function perChannel(
  linear: Pick<Linear, 'rank' | 'axis' | 'channels'>,
  value: Value | undefined,
): Float64Array | undefined {
  const shape = constant(value)?.shape;
  const { rank, axis, channels } = linear;
  if (!shape || shape.length > rank) return undefined;
  const at = axis - rank + shape.length;
  if (shape.some((dim, i) => dim !== 1 && i !== at)) return undefined;
  const size = shape[at] ?? 1;
  if (size !== 1 && size !== channels) return undefined;
  const found = numbers(value);
  if (!found) return undefined;
  return Float64Array.from({ length: channels }, (_, c) => found[size === 1 ? 0 : c] as number);
}

/** Whether a linear operator feeds this node and nothing else. */
export function feedsOnly(linear: Linear, reader: Node): boolean {
  return onlyReader(linear.node.output) === reader;
}
