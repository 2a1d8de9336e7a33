// Convolutions with activations quantised at run time: y = Cast(ConvInteger(q, W, zx, zw)) * (sx * sw)
// + B, with scales [M, 1, ..] and bias [M, 1, ..].

import type { Builder, Value } from '../../graph/index.ts';
import { constantData } from '../../ops/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Choice } from './dynamic-plan.ts';
import { cast, type DynamicWriter, inType, nameOf, replaceOutputs } from './dynamic-writer.ts';

const ATTRIBUTES = ['auto_pad', 'dilations', 'group', 'kernel_shape', 'pads', 'strides'];

export function writeConv(writer: DynamicWriter, choice: Choice): void {
  const { node, weights } = choice;
  const [weight] = weights;
  const x = node.input(0);
  if (!weight || !x) return;
  const g = writer.builder(choice);
  const { codes, scales, zeroPoints } = writer.weight(choice, weight);
  const left = writer.input(g, x);
  const attrs = Object.fromEntries([...node.attrs].filter(([name]) => ATTRIBUTES.includes(name)));
  const zero = zeroPoints.data?.shape.length === 0 ? zeroPoints : undefined;
  const inputs = [left.codes, codes, left.zeroPoint, ...(zero ? [zero] : [])];
  const sum = g.op('ConvInteger', inputs, attrs, { name: nameOf(g, node) });
  const product = g.op('Mul', [cast(g, sum, 'float32'), g.op('Mul', [left.scale, scales])]);
  const result = inType(g, product, node.output.dtype ?? x.dtype);
  replaceOutputs(choice, [withBias(g, result, node.input(2), weight.shape)]);
}

function withBias(
  g: Builder,
  result: Value,
  bias: Value | undefined,
  [channels = 1, , ...sizes]: readonly number[],
): Value {
  if (!bias) return result;
  const shape = [channels, ...sizes.map(() => 1)];
  const data = constantData(bias);
  const term = data
    ? g.constant(`${bias.name}_column`, data.reshape(shape))
    : g.op('Reshape', [bias, g.constant('bias_shape', Tensor.int64(shape))]);
  return g.op('Add', [result, term]);
}
