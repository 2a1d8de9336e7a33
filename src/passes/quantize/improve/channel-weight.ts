// The weight of a linear operator, seen by its channels: which block of consecutive elements links
// which input channel to which output channel. Conv W [M, C/g, …]; ConvTranspose W [C, M/g, …];
// MatMul, Gemm W [K, N] or [N, K].

import type { Node, Value } from '../../../graph/index.ts';
import { constantData } from '../../../ops/index.ts';
import { elementCount } from '../../../tensor/dtype.ts';
import { decodeElements } from '../../../tensor/elements.ts';
import { isCalculable } from '../../../tensor/scale.ts';
import type { Tensor } from '../../../tensor/tensor.ts';
import { type Linear, linearBefore } from '../../linear.ts';

export interface ChannelWeight {
  readonly linear: Linear;
  readonly data: Tensor;
  readonly outputs: number;
  /** Input channels; of a product of matrices, all that is summed up. */
  readonly inputs: number;
  /** Elements per block. */
  readonly block: number;
  outputOf(block: number): number;
  inputOf(block: number): number;
}

/** A linear operator whose weight can be scaled by channels, or why it cannot. */
export function channelWeight(node: Node): ChannelWeight | string {
  const linear = linearBefore(node.output);
  const weight = node.input(1);
  const data = weight && constantData(weight);
  if (!linear || !weight || !data) return `the weight of ${node.describe()} is not constant`;
  if (!isCalculable(data.dtype)) return `the weight of ${node.describe()} is ${data.dtype}`;
  if (weight.uses.length > 1) return `${node.describe()} shares its weight with other nodes`;
  if (node.int('transA', 0) !== 0) return `${node.describe()} transposes its input`;
  const isConv = node.op === 'Conv' || node.op === 'ConvTranspose';
  if (!isConv && data.shape.slice(0, -2).some((size) => size !== 1)) {
    return `the weight of ${node.describe()} is a stack of matrices`;
  }
  return { linear, data, outputs: linear.channels, ...blocksOf(node, data, isConv) };
}

type Blocks = Pick<ChannelWeight, 'inputs' | 'block' | 'outputOf' | 'inputOf'>;

function blocksOf(node: Node, { shape }: Tensor, isConv: boolean): Blocks {
  const [first = 1, second = 1] = isConv ? shape : shape.slice(-2);
  const group = node.int('group', 1);
  const block = isConv ? elementCount(shape.slice(2)) : 1;
  const row = (b: number) => Math.floor(b / second);
  // Channels of the second axis count from the first of their group.
  const grouped = (b: number) => Math.floor(row(b) / (first / group)) * second + (b % second);
  const isOutputFirst = node.op === 'Conv' || node.int('transB', 0) !== 0;
  return isOutputFirst
    ? { inputs: second * group, block, outputOf: row, inputOf: grouped }
    : { inputs: first, block, outputOf: grouped, inputOf: row };
}

/** The largest magnitude in each block. */
export async function blockMagnitudes({ data, block }: ChannelWeight): Promise<Float32Array> {
  const values = decodeElements(data.dtype, await data.load(), data.size) as Float32Array;
  const largest = new Float32Array(data.size / block);
  for (let i = 0; i < values.length; i++) {
    const at = Math.floor(i / block);
    const magnitude = Math.abs(values[i] as number);
    if (magnitude > (largest[at] as number)) largest[at] = magnitude;
  }
  return largest;
}

/** Whether a node's input is the one its weight is applied to. */
export function isDataInput(value: Value, node: Node): boolean {
  return value.uses.some((use) => use.node === node && use.index === 0);
}
