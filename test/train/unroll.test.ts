import { describe, expect, it } from '@jest/globals';
import { inferTypes } from '../../src/ops/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { unrollRecurrent } from '../../src/train/unroll.ts';
import { parseModel } from '../helpers/parse.ts';

const run = createRunner();
const [S, N, I, H] = [5, 3, 4, 2];
const gates = { LSTM: 4, GRU: 3, RNN: 1 } as const;

function text(op: keyof typeof gates, attrs: string, d: number, more: string): string {
  const g = gates[op] * H;
  const cell = op === 'LSTM' ? ', yc' : '';
  return `<ir_version: 10, opset_import: ["" : 21]>
g (float[${S}, ${N}, ${I}] x, float[${d}, ${N}, ${H}] h0, float[${d}, ${N}, ${H}] c0)
  => (float[${S}, ${d}, ${N}, ${H}] y, float[${d}, ${N}, ${H}] yh${op === 'LSTM' ? `, float[${d}, ${N}, ${H}] yc` : ''})
<float[${d}, ${g}, ${I}] w = random, float[${d}, ${g}, ${H}] r = random, float[${d}, ${2 * g}] b = random>
{ y, yh${cell} = ${op}<hidden_size = ${H}${attrs}>(x, w, r${more}) }`;
}

describe('recurrent operators taken apart', () => {
  it.each([
    ['LSTM', '', 1, ', b'],
    ['LSTM', ', direction = "reverse"', 1, ', b, , h0, c0'],
    ['LSTM', ', direction = "bidirectional"', 2, ', b, , h0, c0'],
    ['LSTM', '', 1, ''],
    ['GRU', '', 1, ', b, , h0'],
    ['GRU', ', linear_before_reset = 1', 1, ', b, , h0'],
    ['GRU', ', direction = "bidirectional", linear_before_reset = 1', 2, ', b'],
    ['RNN', '', 1, ', b, , h0'],
    ['RNN', ', activations = ["Relu"]', 1, ', b'],
  ] as const)('%s%s, %d, inputs%s', async (op, attrs, d, more) => {
    const random = new Random(2);
    const values = (shape: readonly number[]) =>
      Tensor.of(
        'float32',
        shape,
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
      );
    const feeds = new Map([
      ['x', values([S, N, I])],
      ['h0', values([d, N, H])],
      ['c0', values([d, N, H])],
    ]);
    const [whole, apart] = [0, 1].map(() => {
      const model = parseModel(text(op, attrs, d, more));
      inferTypes(model);
      return model;
    }) as [ReturnType<typeof parseModel>, ReturnType<typeof parseModel>];
    unrollRecurrent(apart);
    expect([...apart.graph.nodes].some((node) => node.op === op)).toBe(false);
    const [a, b] = await Promise.all([run(whole, feeds), run(apart, feeds)]);
    for (const [name, tensor] of a) {
      const other = b.get(name);
      expect(other?.shape).toEqual(tensor.shape);
      tensor.numbers().forEach((value, i) => {
        expect(other?.numbers()[i]).toBeCloseTo(value, 5);
      });
    }
  });

  it.each([
    ['LSTM', ', input_forget = 1', /coupled gates/],
    ['GRU', ', clip = 3.0', /clip/],
    ['LSTM', ', activations = ["HardSigmoid", "Tanh", "Tanh"]', /HardSigmoid/],
  ] as const)('refuses %s%s by name', (op, attrs, message) => {
    const model = parseModel(text(op, attrs, 1, ', b'));
    inferTypes(model);
    expect(() => unrollRecurrent(model)).toThrow(message);
  });
});
