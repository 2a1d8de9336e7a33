// Attention of com.microsoft with its merged projection in 8 bits: QAttention, the same but for the
// quantised input and weight; softmax and what follows stay float.

import type { Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Choice } from './dynamic-plan.ts';
import { type DynamicWriter, MICROSOFT, nameOf, replaceOutputs } from './dynamic-writer.ts';

const ATTRIBUTES = [
  ...['do_rotary', 'mask_filter_value', 'num_heads', 'past_present_share_buffer', 'scale'],
  'unidirectional',
];

export function writeAttention(writer: DynamicWriter, choice: Choice): void {
  const { node, weights, graph } = choice;
  const [weight] = weights;
  const x = node.input(0);
  if (!weight || !x) return;
  writer.importMicrosoft(graph);
  const g = writer.builder(choice);
  const { codes, scales, zeroPoints } = writer.weight(choice, weight);
  const left = writer.input(g, x);
  const columns = weight.shape[1] as number;
  const bias =
    node.input(2) ?? g.constant('bias', Tensor.of('float32', [columns], new Float32Array(columns)));
  const inputs: (Value | undefined)[] = [
    ...[left.codes, codes, bias, left.scale, scales, node.input(3)],
    ...[left.zeroPoint, zeroPoints, node.input(4)],
  ];
  while (inputs.at(-1) === undefined) inputs.pop();
  const attrs = Object.fromEntries([...node.attrs].filter(([name]) => ATTRIBUTES.includes(name)));
  const options = { domain: MICROSOFT, name: nameOf(g, node) };
  replaceOutputs(choice, g.ops('QAttention', inputs, node.outputs.length, attrs, options));
}
