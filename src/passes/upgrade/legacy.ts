// Experimental operators of the first opsets, which opset 10 took out: in terms of others.
// Definitions: ONNX 1.4, Operators.md, "Experimental".

import type { Node } from '../../graph/index.ts';
import { skip } from '../pass.ts';
import type { Adapter, Adapters, UpgradeContext } from './adapter.ts';

/** Beyond the end of every axis. */
const END = 2 ** 31 - 1;

/** Most of them compute with constants of the type of their input. */
function withFloats(
  build: (
    node: Node,
    c: UpgradeContext,
    float: (value: number) => ReturnType<UpgradeContext['float']>,
  ) => true,
): Adapter {
  return (node, c) => {
    const dtype = node.input(0)?.dtype;
    if (!dtype) return skip('the type of its input is not known');
    return build(node, c, (value) => c.float(dtype, value));
  };
}

/** alpha * x + beta. */
const affine = withFloats((node, c, float) => {
  const scaled = c.g.op('Mul', [node.input(0), float(node.float('alpha', 1))]);
  return c.replace(node, c.g.op('Add', [scaled, float(node.float('beta', 0))]));
});

/** scale * x. */
const scale = withFloats((node, c, float) =>
  c.replace(node, c.g.op('Mul', [node.input(0), float(node.float('scale', 1))])),
);

/** alpha * tanh(beta * x). */
const scaledTanh = withFloats((node, c, float) => {
  const inner = c.g.op('Mul', [node.input(0), float(node.float('beta', 1))]);
  const tanh = c.g.op('Tanh', [inner]);
  return c.replace(node, c.g.op('Mul', [tanh, float(node.float('alpha', 1))]));
});

/** alpha * ln(exp(beta * x) + 1). */
const parametricSoftplus = withFloats((node, c, float) => {
  const inner = c.g.op('Mul', [node.input(0), float(node.float('beta', 1))]);
  const softplus = c.g.op('Softplus', [inner]);
  return c.replace(node, c.g.op('Mul', [softplus, float(node.float('alpha', 1))]));
});

/** scale * x + bias, with a bias for each channel of [N, C, H, W]. */
function imageScaler(node: Node, c: UpgradeContext) {
  const dtype = node.input(0)?.dtype;
  const bias = node.floats('bias');
  if (!dtype) return skip('the type of its input is not known');
  const factor = c.float(dtype, node.float('scale', 1));
  const scaled = c.g.op('Mul', [node.input(0), factor]);
  if (!bias) return c.replace(node, scaled);
  return c.replace(node, c.g.op('Add', [scaled, c.floats(dtype, [bias.length, 1, 1], bias)]));
}

/** What is left of height and width within `border` (left, top, right, bottom), or `scale` of it. */
function crop(node: Node, c: UpgradeContext) {
  const [left = 0, top = 0, right = 0, bottom = 0] = node.ints('border') ?? [];
  const [height, width] = node.ints('scale') ?? [];
  const end = (start: number, size: number | undefined, border: number) => {
    if (size !== undefined) return start + size;
    return border > 0 ? -border : END;
  };
  const starts = c.ints(top, left);
  const ends = c.ints(end(top, height, bottom), end(left, width, right));
  return c.replace(node, c.g.op('Slice', [node.input(0), starts, ends, c.ints(2, 3)]));
}

function dynamicSlice(node: Node, c: UpgradeContext) {
  return c.become(node, 'Slice', node.inputs, {});
}

export const legacy: Adapters = {
  Affine: { 10: affine },
  Crop: { 10: crop },
  DynamicSlice: { 10: dynamicSlice },
  ImageScaler: { 10: imageScaler },
  ParametricSoftplus: { 10: parametricSoftplus },
  Scale: { 10: scale },
  ScaledTanh: { 10: scaledTanh },
};
