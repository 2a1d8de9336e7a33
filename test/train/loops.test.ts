// Gradients through what loops: Scan and Loop, taken apart, against differences of the loss.

import { expect, it } from '@jest/globals';
import { plainModel } from '../../src/cli/train/prepare.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { differentiate, withoutRules } from '../../src/train/differentiate.ts';
import { Formula } from '../../src/train/formula.ts';
import { parseModel } from '../helpers/parse.ts';

const scan = `Scan <num_scan_inputs = 1, body = b (float[2] s, float[2] xi) => (float[2] next, float[2] out)
  { p = Mul (s, w) q = Add (p, xi) next = Tanh (q) out = Mul (next, w) }> (h, x)`;
const loop = `Loop <body = b (int64 i, bool go, float[2] s) => (bool on, float[2] next, float[2] out)
  { on = Identity (go) xi = Gather (x, i) p = Mul (s, w) q = Add (p, xi) next = Tanh (q) out = Mul (next, w) }> (n, yes, h)`;

const X = Tensor.of('float32', [3, 2], [0.5, -1, 1.5, 0.25, -0.75, 1]);

it.each([
  ['Scan', scan],
  ['Loop', loop],
])('%s', async (op, text) => {
  const model = parseModel(`<ir_version: 10, opset_import: ["" : 21]>
g (float[3, 2] x) => (float[2] last, float[3, 2] all)
< float[2] h = {0.5, -0.25}, float[2] w = {0.8, -1.2}, int64 n = {3}, bool yes = {1} >
{ last, all = ${text} }`);
  const run = createRunner();
  const lossAt = async ([a, b]: readonly [number, number]) => {
    const copy = model.clone();
    const w = [...copy.graph.initializers].find(({ name }) => name === 'w');
    if (w) copy.graph.setData(w, Tensor.of('float32', [2], [0.8 + a, b - 1.2]));
    const found = await run(copy, new Map([['x', X]]));
    return [...found.values()]
      .flatMap((tensor) => tensor.numbers())
      .reduce((sum, value) => sum + value, 0);
  };
  const plain = await plainModel(model, 3, new Map([['x', X]]));
  expect([...plain.graph.nodes].some((node) => node.op === op)).toBe(false);
  const weights = [...plain.graph.initializers].filter(({ name }) => name === 'w');
  const f = new Formula(plain);
  const loss = f.total(plain.graph.outputs.map((output) => f.sum(output)));
  expect(withoutRules(plain, loss, weights)).toEqual([]);
  const gradients = differentiate(plain, loss, weights);
  plain.graph.outputs = [...gradients.values()];
  const [found] = (await run(plain, new Map([['x', X]]))).values();
  const step = 1e-2;
  for (const i of [0, 1]) {
    const at = (by: number) => lossAt(i === 0 ? [by, 0] : [0, by]);
    const slope = ((await at(step)) - (await at(-step))) / (2 * step);
    expect(found?.numbers()[i]).toBeCloseTo(slope, 3);
  }
});
