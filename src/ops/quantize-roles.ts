// How operators take part in static quantisation. One without a role stays float. The integer kernels
// are those of onnxruntime (QDQ selectors of its CPU provider, tried one by one).

import type { Node } from '../graph/index.ts';
import { elementsOf } from '../tensor/elements.ts';
import { constantData } from './context.ts';

export interface QuantizeRole {
  /**
   * `product`: what quantisation is for.
   * `follow`: has an integer kernel, worth it only between others.
   * `move`: only moves or selects elements: inputs and outputs share one scale.
   * `join`: a Relu or Clip, part of the kernel before it: nothing is rounded in between.
   * `float`: has no integer kernel, but its result a range that is known.
   */
  readonly kind: 'product' | 'follow' | 'move' | 'join' | 'float';
  /** Inputs that hold data; the others are sizes, indices, bounds. Undefined: all. */
  readonly data?: readonly number[];
  /** The integer kernel as targets name it. */
  readonly kernel?: string;
  /** Input that is an int32 bias with the product of the scales of the other two. */
  readonly bias?: number;
  /** Axis of the output channels in weight input `index`. */
  channels?(node: Node, index: number): number | undefined;
  /** Whether the integer kernel needs an integer output, too. */
  readonly needsOutput?: boolean;
  /** Whether it takes inputs that no integer kernel made: rounding less input is cheaper than more. */
  readonly takesFloats?: boolean;
  /** Moves all elements and changes none, so that it does not matter on which side they are rounded. */
  readonly permutes?: boolean;
  /** Range of the result by its formula, whatever the data. */
  readonly range?: readonly [number, number];
  /** Whether the role is right for this node. */
  fits?(node: Node): boolean;
}

const MOVE: QuantizeRole = { kind: 'move', data: [0] };
const PERMUTE: QuantizeRole = { ...MOVE, permutes: true };
const FOLLOW: QuantizeRole = { kind: 'follow' };
const UNIT = [0, 1] as const;

const ROLES: Readonly<Record<string, QuantizeRole>> = {
  Conv: {
    kind: 'product',
    data: [0, 1],
    kernel: 'QLinearConv',
    bias: 2,
    channels: () => 0,
    needsOutput: true,
  },
  // Of [C, M/groups, …]: a scale serves the same channel of every group.
  ConvTranspose: { kind: 'product', data: [0, 1], bias: 2, channels: () => 1 },
  Gemm: {
    kind: 'product',
    data: [0, 1],
    kernel: 'QGemm',
    bias: 2,
    channels: (node, index) => (index === 1 ? 1 - node.int('transB', 0) : undefined),
  },
  MatMul: {
    kind: 'product',
    data: [0, 1],
    kernel: 'MatMulIntegerToFloat',
    channels: (node, index) => {
      const rank = node.inputs[index]?.shape?.length ?? 0;
      return index === 1 && rank === 2 ? 1 : undefined;
    },
  },
  Relu: { kind: 'join', data: [0] },
  Clip: { kind: 'join', data: [0] },
  Add: FOLLOW,
  Mul: FOLLOW,
  Concat: { ...FOLLOW, takesFloats: true },
  Where: { ...FOLLOW, data: [1, 2] },
  AveragePool: FOLLOW,
  GlobalAveragePool: FOLLOW,
  LeakyRelu: FOLLOW,
  Sigmoid: { ...FOLLOW, range: UNIT },
  Softmax: { ...FOLLOW, range: UNIT },
  HardSigmoid: { kind: 'float', range: UNIT },
  Tanh: { kind: 'float', range: [-1, 1] },
  Reshape: PERMUTE,
  Flatten: PERMUTE,
  Squeeze: PERMUTE,
  Unsqueeze: PERMUTE,
  Transpose: PERMUTE,
  DepthToSpace: PERMUTE,
  SpaceToDepth: PERMUTE,
  MaxPool: { ...MOVE, fits: (node) => node.outputs.length === 1 },
  Slice: MOVE,
  Split: MOVE,
  Gather: MOVE,
  GatherElements: MOVE,
  Expand: MOVE,
  Tile: MOVE,
  ReduceMax: MOVE,
  // Cubic interpolation goes beyond the values it is between; a crop may reach beyond the edge.
  Resize: {
    ...MOVE,
    fits: (node) =>
      node.string('mode', 'nearest') !== 'cubic' &&
      node.string('coordinate_transformation_mode', '') !== 'tf_crop_and_resize',
  },
  Pad: { ...MOVE, fits: padsWithZeros },
};

/** Zero is in every range that is rounded. */
function padsWithZeros(node: Node): boolean {
  if (node.string('mode', 'constant') !== 'constant') return true;
  const value = node.input(2);
  if (!value) return node.float('value', 0) === 0;
  const data = constantData(value);
  return data !== undefined && 'read' in data.source && Number(elementsOf(data)[0]) === 0;
}

/** The role of a node of the standard domain. */
export function quantizeRole(node: Node): QuantizeRole | undefined {
  const role = node.domain === '' ? ROLES[node.op] : undefined;
  return role && (role.fits?.(node) ?? true) ? role : undefined;
}
