// How operators take part in static quantisation. One without a role stays float. The integer kernels
// are those of onnxruntime (QDQ selectors of its CPU provider).

import type { Node } from '../graph/index.ts';

export interface QuantizeRole {
  /**
   * `product`: a weight times an activation, what quantisation is for.
   * `follow`: has an integer kernel, worth it only between others.
   * `move`: only moves or selects elements: inputs and outputs share one scale.
   * `join`: a Relu or Clip, part of the kernel before it: nothing is rounded in between.
   */
  readonly kind: 'product' | 'follow' | 'move' | 'join';
  /** Inputs that hold data; the others are sizes, indices, bounds. Undefined: all. */
  readonly data?: readonly number[];
  /** Input that is an int32 bias with the product of the scales of the other two. */
  readonly bias?: number;
  /** Axis of the output channels in weight input `index`. */
  channels?(node: Node, index: number): number | undefined;
  /** Whether the integer kernel needs an integer output, too. */
  readonly needsOutput?: boolean;
  /** Range of the result by its formula, whatever the data. */
  readonly range?: readonly [number, number];
}

const MOVE: QuantizeRole = { kind: 'move', data: [0] };
const FOLLOW: QuantizeRole = { kind: 'follow' };

const ROLES: Readonly<Record<string, QuantizeRole>> = {
  Conv: { kind: 'product', data: [0, 1], bias: 2, channels: () => 0, needsOutput: true },
  Gemm: {
    kind: 'product',
    data: [0, 1],
    bias: 2,
    channels: (node, index) => (index === 1 ? 1 - node.int('transB', 0) : undefined),
  },
  MatMul: {
    kind: 'product',
    data: [0, 1],
    channels: (node, index) => {
      const rank = node.inputs[index]?.shape?.length ?? 0;
      return index === 1 && rank === 2 ? 1 : undefined;
    },
  },
  Relu: { kind: 'join', data: [0] },
  Clip: { kind: 'join', data: [0] },
  Add: FOLLOW,
  Mul: FOLLOW,
  Concat: FOLLOW,
  AveragePool: FOLLOW,
  GlobalAveragePool: FOLLOW,
  LeakyRelu: FOLLOW,
  Sigmoid: { kind: 'follow', range: [0, 1] },
  Softmax: { kind: 'follow', range: [0, 1] },
  MaxPool: MOVE,
  Reshape: MOVE,
  Flatten: MOVE,
  Squeeze: MOVE,
  Unsqueeze: MOVE,
  Transpose: MOVE,
  Slice: MOVE,
  Split: MOVE,
  Gather: MOVE,
  Resize: MOVE,
  DepthToSpace: MOVE,
  SpaceToDepth: MOVE,
  Expand: MOVE,
  Tile: MOVE,
};

export function quantizeRole(node: Pick<Node, 'op' | 'domain'>): QuantizeRole | undefined {
  return node.domain === '' ? ROLES[node.op] : undefined;
}
