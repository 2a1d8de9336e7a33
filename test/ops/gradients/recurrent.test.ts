import { expect, it } from '@jest/globals';
import { inferTypes } from '../../../src/ops/index.ts';
import { differentiate } from '../../../src/train/differentiate.ts';
import { parseModel } from '../../helpers/parse.ts';

it.each([
  ['LSTM', 4, ', input_forget = 1', '', /coupled gates/],
  ['LSTM', 4, ', activations = ["HardSigmoid", "Tanh", "Tanh"]', '', /HardSigmoid/],
  ['LSTM', 4, '', ', , , , , p', /peepholes/],
  ['GRU', 3, ', clip = 3.0', '', /clip/],
  ['GRU', 3, '', ', , lengths', /lengths of sequences/],
  ['RNN', 1, ', layout = 1', '', /batch first/],
] as const)('refuses %s of %d gates with%s%s by name', (op, gates, attrs, more, message) => {
  const model = parseModel(`<ir_version: 10, opset_import: ["" : 21]>
g (float[5,3,4] x, float[1,${gates * 2},4] w, float[1,${gates * 2},2] r, float[1,6] p, int32[3] lengths)
  => (float y)
{ all = ${op}<hidden_size = 2${attrs}>(x, w, r${more})
  y = ReduceSum<keepdims = 0>(all) }`);
  inferTypes(model);
  const [, w] = model.graph.inputs;
  const [loss] = model.graph.outputs;
  if (!w || !loss) throw new Error('no such value');
  expect(() => differentiate(model, loss, [w])).toThrow(message);
});
