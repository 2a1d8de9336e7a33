// Logits at some positions, against rows of all logits.

import { expect, it } from '@jest/globals';
import { type Model, tensorType, Value } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { Formula } from '../../src/train/formula.ts';
import { atRows } from '../../src/train/rows.ts';
import { parseModel } from '../helpers/parse.ts';
import { randomFeeds } from '../helpers/rewriting.ts';

const run = createRunner({ optimization: 'disabled', threads: 1 });
const ROWS = [7, 0, 3];

const text = (body: string) => `
<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
g (float[2, 4, 6] x, float[2, 4, 1] w) => (float[2, 4, 9] y)
<float[6, 5] a = random, float[5] b = random, float[1, 5] c = random, float[9, 5] table = random,
 float[5, 9] up = random, int64[2] flat = {8, 5}, int64[3] whole = {2, 4, 9}, int64[3] row = {1, 1, 5},
 int64[2] pads = {0, 1}>
{
  ${body}
}`;

const HEADS: Record<string, [body: string, from: string]> = {
  'a head with gelu, norm and a tied table': [
    `p = MatMul(x, a)
  q = Add(p, b)
  g = Gelu(q)
  n = LayerNormalization<axis = -1>(g, b, b)
  s = Add(n, p)
  t = Transpose<perm = [1, 0]>(table)
  y = MatMul(s, t)`,
    'x',
  ],
  'matrices between reshapes': [
    `p = MatMul(x, a)
  r = Reshape(p, flat)
  h = Gemm(r, up)
  y = Reshape(h, whole)`,
    'x',
  ],
  'what is wide in another way, which is picked where it stands': [
    `p = MatMul(x, a)
  m = Mul(p, w)
  v = Reshape(b, row)
  s = Add(m, v)
  y = MatMul(s, up)`,
    's',
  ],
  'a softmax over positions, which is not passed': [
    `p = MatMul(x, a)
  m = Softmax<axis = 1>(p)
  d = Dropout(m)
  y = MatMul(d, up)`,
    'd',
  ],
};

it.each(Object.entries(HEADS))('picks rows before %s', async (_, [body, from]) => {
  const model = parseModel(text(body));
  inferTypes(model);
  const [output] = model.graph.outputs as [Value];
  const rows = new Value('rows', tensorType('int64', [ROWS.length]));
  model.graph.inputs.push(rows);
  const picked = atRows(new Formula(model), output, rows);
  model.graph.outputs.push(picked);
  const feeds = new Map(randomFeeds(model)).set('rows', Tensor.int64(ROWS));
  const [all = [], some = []] = [...(await run(model, feeds)).values()].map((t) => t.numbers());
  const expected = ROWS.flatMap((row) => all.slice(row * 9, (row + 1) * 9));
  expect(some).toHaveLength(expected.length);
  expect(Math.max(...some.map((x, i) => Math.abs(x - (expected[i] as number))))).toBeLessThan(1e-6);
  expect(sources(model)).toEqual([from]);
});

/** What is read row by row: behind the gathers, without the form that it was brought into. */
function sources({ graph }: Model): (string | undefined)[] {
  const gathers = [...graph.nodes].filter(({ op }) => op === 'Gather');
  return gathers.map(({ inputs }) => inputs[0]?.producer?.inputs[0]?.name);
}
