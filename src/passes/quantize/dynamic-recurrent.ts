// Recurrent networks. LSTM has a quantised form, DynamicQuantizeLSTM of com.microsoft, which wants W
// [D, I, 4H] and R [D, H, 4H], transposed. The weights of GRU and RNN are stored in 8 bits and become
// float32 when the model runs.

import type { Value } from '../../graph/index.ts';
import type { Choice } from './dynamic-plan.ts';
import { type DynamicWriter, MICROSOFT, nameOf, replaceOutputs } from './dynamic-writer.ts';

const ATTRIBUTES = [
  ...['activation_alpha', 'activation_beta', 'activations', 'clip', 'direction', 'hidden_size'],
  'input_forget',
];

export function writeRecurrent(writer: DynamicWriter, choice: Choice): void {
  const { node, weights } = choice;
  const [w, r] = weights;
  if (!w || !r) return;
  const g = writer.builder(choice);
  if (!w.isTurned) {
    for (const weight of weights) {
      const { codes, scales, zeroPoints } = writer.weight(choice, weight);
      const attrs = weight.axis === undefined ? {} : { axis: weight.axis };
      node.setInput(weight.input, g.op('DequantizeLinear', [codes, scales, zeroPoints], attrs));
    }
    return;
  }
  writer.importMicrosoft(choice.graph);
  const first = writer.weight(choice, w);
  const second = writer.weight(choice, r);
  const rest = [3, 4, 5, 6, 7].map((index) => node.input(index));
  const inputs: (Value | undefined)[] = [
    ...[node.input(0), first.codes, second.codes, ...rest],
    ...[first.scales, first.zeroPoints, second.scales, second.zeroPoints],
  ];
  const attrs = Object.fromEntries([...node.attrs].filter(([name]) => ATTRIBUTES.includes(name)));
  const options = { domain: MICROSOFT, name: nameOf(g, node) };
  replaceOutputs(choice, g.ops('DynamicQuantizeLSTM', inputs, node.outputs.length, attrs, options));
}
