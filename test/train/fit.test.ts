// Teachers that take and say things in another form than their students, against running them alone.

import { describe, expect, it } from '@jest/globals';
import { attr, type Model, Node, toAttrs, Value } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import type { Soft } from '../../src/train/distill.ts';
import { fitInputs, fitOutputs } from '../../src/train/fit.ts';
import { parseModel } from '../helpers/parse.ts';

const run = createRunner();

function model(text: string): Model {
  const parsed = parseModel(text);
  parsed.opsets.set('', 21);
  inferTypes(parsed);
  return parsed;
}

const normal = (shape: readonly number[]) => {
  const random = new Random(0, 'fit');
  const size = shape.reduce((a, b) => a * b, 1);
  return Tensor.of(
    'float32',
    shape,
    Float32Array.from({ length: size }, () => random.normal()),
  );
};

async function outputOf(of: Model, feeds: Record<string, Tensor>, name = 'y'): Promise<number[]> {
  const results = await run(of, new Map(Object.entries(feeds)));
  return [...(results.get(name)?.numbers() ?? [])];
}

const STUDENT = 's (float[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y) { y = Relu(x) }';

describe('inputs of a teacher', () => {
  it.each<[string, string, (x: Tensor) => number[]]>([
    ['have channels last', 'float[2, 4, 5, 3]', (x) => channelsLast(x.numbers())],
    ['are flat', 'float[2, 60]', (x) => [...x.numbers()]],
    ['have another name', 'float[2, 3, 4, 5]', (x) => [...x.numbers()]],
  ])('%s', async (_, type, expected) => {
    const teacher = model(`t (${type} image) => (${type} y) { y = Neg(image) }`);
    expect(fitInputs(teacher, model(STUDENT))).toBeUndefined();
    const x = normal([2, 3, 4, 5]);
    expect(await outputOf(teacher, { image: x })).toEqual(expected(x).map((value) => -value));
  });

  it('are of half precision', async () => {
    const teacher = model(
      't (float16[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y) { y = Cast <to = 1> (x) }',
    );
    expect(fitInputs(teacher, model(STUDENT))).toBeUndefined();
    const x = normal([2, 3, 4, 5]);
    const found = await outputOf(teacher, { x });
    x.numbers().forEach((value, i) => {
      expect(found[i]).toBeCloseTo(value, 2);
    });
  });

  it('that the student lacks are one segment, all of it there; others are named', async () => {
    const student = model(
      's (int64[2, 3] input_ids) => (int64[2, 3] y) { y = Identity(input_ids) }',
    );
    const bert = model(`
t (int64[2, 3] input_ids, int64[2, 3] attention_mask, int64[2, 3] token_type_ids) => (int64[2, 3] y)
{
  a = Mul(input_ids, attention_mask)
  y = Add(a, token_type_ids)
}`);
    expect(fitInputs(bert, student)).toBeUndefined();
    expect(bert.graph.inputs.map(({ name }) => name)).toEqual(['input_ids']);
    const ids = Tensor.int64([1, 2, 3, 4, 5, 6]).reshape([2, 3]);
    expect(await outputOf(bert, { input_ids: ids })).toEqual([1, 2, 3, 4, 5, 6]);
    const other = model(`
t (int64[2, 3] input_ids, float[2, 7] more) => (int64[2, 3] y) { y = Identity(input_ids) }`);
    expect(fitInputs(other, student)).toBe('more');
    const large = model('t (float[2, 3, 9, 9] x) => (float[2, 3, 9, 9] y) { y = Relu(x) }');
    expect(fitInputs(large, model(STUDENT))).toBe('x');
  });
});

/** [2, 3, 4, 5] as [2, 4, 5, 3]. */
function channelsLast(values: ArrayLike<number>): number[] {
  return Array.from({ length: 120 }, (_, at) => {
    const [c, pixel, n] = [at % 3, Math.floor(at / 3) % 20, Math.floor(at / 60)];
    return values[n * 60 + c * 20 + pixel] ?? 0;
  });
}

/** What is compared beside a student's output of these classes. */
async function saidBy(
  text: string,
  soft: Soft,
  output: string,
  isProbable = false,
): Promise<{ values: number[]; said: Value | undefined; asked: number }> {
  const teacher = model(text);
  const student = model(
    `s (float[2, 3] x) => (${output}) { ${output.split(' ').at(-1)} = Relu(x) }`,
  );
  let asked = 0;
  const [said] = await fitOutputs(teacher, student, soft, async (values) => {
    asked += values.length;
    return values.map(() => isProbable);
  });
  if (!said) return { values: [], said, asked };
  teacher.graph.outputs = [said];
  return { said, asked, values: await outputOf(teacher, { x: X }, said.name) };
}

const X = Tensor.of('float32', [2, 3], [1, -2, 0.5, 3, 0, -1]);
const logits = [1, -2, 0.5, 3, 0, -1];
const shifted = (values: readonly number[]) =>
  [0, 1].flatMap((row) => {
    const own = values.slice(3 * row, 3 * row + 3);
    return own.map((value) => value - (own[0] ?? 0));
  });
const close = (found: readonly number[], expected: readonly number[]) => {
  expect(found.length).toBe(expected.length);
  for (const [i, value] of found.entries()) expect(value).toBeCloseTo(expected[i] ?? Number.NaN, 3);
};

describe('outputs of a teacher', () => {
  it.each([
    ['Softmax', 'y = Softmax <axis = 1> (x)'],
    [
      'Softmax with rounding behind it',
      'p = Softmax <axis = 1> (x) q = QuantizeLinear(p, s, z) y = DequantizeLinear(q, s, z)',
    ],
    ['Softmax in another shape', 'p = Softmax <axis = 1> (x) y = Unsqueeze(p, axes)'],
  ])('are the logits behind %s', async (_, body) => {
    const isWide = body.includes('axes');
    const text = `
t (float[2, 3] x) => (float[${isWide ? '2, 3, 1' : '2, 3'}] y)
<float s = {0.00390625}, uint8 z = {0}, int64[1] axes = {2}> { ${body} }`;
    const { values, asked } = await saidBy(text, 'kl', 'float[2, 3] y');
    expect(asked).toBe(0);
    close(values, logits);
  });

  it('are logarithms of probabilities whose logits nobody sees', async () => {
    const text = `
t (float[2, 3] x) => (float[2, 3] y)
{
  e = Exp(x)
  sum = ReduceSum <keepdims = 1> (e, axes)
  y = Div(e, sum)
}`.replace('\n{', '\n<int64[1] axes = {1}>\n{');
    const { values, asked } = await saidBy(text, 'kl', 'float[2, 3] y', true);
    expect(asked).toBe(1);
    close(shifted(values), shifted(logits));
  });

  it('are logits of chances, behind Sigmoid or not', async () => {
    const seen = await saidBy(
      't (float[2, 3] x) => (float[2, 3] y) { y = Sigmoid(x) }',
      'chances',
      'float[2, 3] y',
    );
    close(seen.values, logits);
    const text = `
t (float[2, 3] x) => (float[2, 3] y)
<float one = {1}>
{
  n = Neg(x)
  e = Exp(n)
  d = Add(e, one)
  y = Div(one, d)
}`;
    close((await saidBy(text, 'chances', 'float[2, 3] y', true)).values, logits);
  });

  it('of a classifier with labels first are its scores', async () => {
    const text = `
t (float[2, 3] x) => (int64[2] label, float[2, 3] y)
{
  y = Identity(x)
  label = ArgMax <axis = 1, keepdims = 0> (x)
}`;
    close((await saidBy(text, 'kl', 'float[2, 3] logits')).values, logits);
  });

  it('of a classifier that gives maps are the scores they are made of', async () => {
    const teacher = model('t (float[2, 3] x) => (float[2, 3] y) { y = Identity(x) }');
    const { graph } = teacher;
    const [scores] = graph.outputs;
    const maps = new Value('maps');
    const attrs = { classlabels_int64s: attr.ints([0, 1, 2]) };
    graph.append(
      new Node({
        op: 'ZipMap',
        domain: 'ai.onnx.ml',
        name: '',
        inputs: [scores],
        outputs: [maps],
        attrs: toAttrs(attrs),
      }),
    );
    graph.outputs = [maps];
    const student = model('s (float[2, 3] x) => (float[2, 3] logits) { logits = Relu(x) }');
    const never = async (values: readonly Value[]) => values.map(() => false);
    expect(await fitOutputs(teacher, student, 'kl', never)).toEqual([scores]);
  });

  it('go by name before place, and by place among those that can be compared', async () => {
    const text = `
t (float[2, 3] x) => (float[2, 3] a, float[2, 3] y)
{
  a = Neg(x)
  y = Identity(x)
}`;
    close((await saidBy(text, 'mse', 'float[2, 3] y')).values, logits);
    const byPlace = await saidBy(text, 'mse', 'float[2, 3] other');
    close(
      byPlace.values,
      logits.map((value) => -value),
    );
  });

  it('are missed where there are none', async () => {
    const text = 't (float[2, 3] x) => (int64[2] y) { y = ArgMax <axis = 1, keepdims = 0> (x) }';
    expect((await saidBy(text, 'kl', 'float[2, 3] y')).said).toBeUndefined();
  });
});
