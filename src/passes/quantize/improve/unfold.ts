// What a layer multiplies its weight with, as a matrix: X [groups, Kg, R], R rows of the data seen
// through the window of a convolution (im2col), so that W [groups, M/groups, Kg] X is the layer.
// Windows are taken apart by a convolution whose kernels hold a single 1 each.

import { Builder, type Model, type Node, type Value } from '../../../graph/index.ts';
import { inferNode } from '../../../ops/index.ts';
import { elementCount } from '../../../tensor/dtype.ts';
import { Tensor } from '../../../tensor/tensor.ts';

export interface Unfolding {
  readonly groups: number;
  /** Output channels per group. */
  readonly outputs: number;
  /** Inputs per output: Kg. */
  readonly inputs: number;
  /** The weight is stored as [Kg, M], not as [M, Kg]. */
  readonly isTurned: boolean;
  /** Adds the nodes that make X of what a node is fed. */
  rows(model: Model, value: Value): Value;
}

/** Positions of a window that are looked at in each sample, where there are more. */
const POSITIONS = 256;

/** How a layer reads its input; a text says why that is not known. */
export function unfolding(node: Node, weight: readonly number[]): Unfolding | string {
  if (node.op === 'Conv') return convolution(node, weight);
  if (node.op !== 'Gemm' && node.op !== 'MatMul') return `${node.op} is not taken apart`;
  if (node.int('transA', 0) !== 0) return 'it transposes its input';
  if (weight.length !== 2) return `its weight has ${weight.length} dimensions`;
  const isTurned = node.int('transB', 0) === 0;
  const [first = 1, second = 1] = weight;
  const [outputs, inputs] = isTurned ? [second, first] : [first, second];
  const rows = (model: Model, value: Value) => {
    const g = builder(model);
    const shape = g.constant('shape', Tensor.int64([1, -1, inputs]));
    return g.op('Transpose', [g.op('Reshape', [value, shape])], { perm: [0, 2, 1] });
  };
  return { groups: 1, outputs, inputs, isTurned, rows };
}

const builder = (model: Model) =>
  new Builder(model.graph, undefined, (made) => inferNode(model, made));

function convolution(node: Node, weight: readonly number[]): Unfolding {
  const [outputs = 1, channels = 1, ...kernel] = weight;
  const groups = node.int('group', 1);
  const inputs = channels * elementCount(kernel);
  const rows = (model: Model, value: Value) => {
    const g = builder(model);
    const seen = windows(g, node, value, channels * groups, kernel);
    const shape = g.constant('shape', Tensor.int64([0, groups, inputs, -1]));
    const split = g.op('Reshape', [seen, shape]);
    const turned = g.op('Transpose', [split], { perm: [1, 2, 0, 3] });
    const flat = g.constant('shape', Tensor.int64([groups, inputs, -1]));
    return g.op('Reshape', [turned, flat]);
  };
  return { groups, outputs: outputs / groups, inputs, isTurned: false, rows };
}

/** [N, C kh kw, …]: every element of every window as a channel of its own. */
function windows(
  g: Builder,
  node: Node,
  value: Value,
  channels: number,
  kernel: readonly number[],
): Value {
  const size = elementCount(kernel);
  const strides = node.ints('strides') ?? kernel.map(() => 1);
  const step = stepOf(node);
  const isSame = node.string('auto_pad', 'NOTSET').startsWith('SAME');
  const apart = isSame ? strides : strides.map((s) => s * step);
  if (size === 1 && apart.every((s) => s === 1) && !node.ints('pads')?.some((p) => p !== 0)) {
    return value;
  }
  const ones = new Float32Array(channels * size * size);
  for (let i = 0; i < channels * size; i++) ones[i * size + (i % size)] = 1;
  const picker = Tensor.of('float32', [channels * size, 1, ...kernel], ones);
  return g.op('Conv', [value, g.constant('windows', picker)], {
    group: channels,
    kernel_shape: [...kernel],
    strides: apart,
    pads: node.ints('pads'),
    dilations: node.ints('dilations'),
    auto_pad: node.string('auto_pad'),
  });
}

/** Every so many positions along each axis are few enough. */
function stepOf(node: Node): number {
  const places = (node.output.shape ?? []).slice(2).filter((dim) => typeof dim === 'number');
  const axes = (node.output.shape?.length ?? 4) - 2;
  if (places.length < axes) return 1;
  return Math.max(1, Math.floor((elementCount(places) / POSITIONS) ** (1 / axes)));
}
