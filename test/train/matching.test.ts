// Which tensors of two models are held against each other, and relations of attention between models
// of other widths and numbers of heads, against ones that are calculated here.

import { describe, expect, it } from '@jest/globals';
import { architectureNamed, type Choices } from '../../src/archs/index.ts';
import { plainModel } from '../../src/cli/train/prepare.ts';
import type { Model, Value } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { RELATION_LOSSES } from '../../src/train/distillation.ts';
import { attentionMatches, type LayerMap, stageMatches } from '../../src/train/matching.ts';
import { parseModel } from '../helpers/parse.ts';
import { lossBetween } from './loss-between.ts';

async function transformer(name: string, choices: Partial<Choices>) {
  const model = architectureNamed(name).build({ vocab: 20, seq: 6, ...choices }, 0);
  const ids = Tensor.int64([0, 0, 0, 0, 0, 0]).reshape([1, 6]);
  return plainModel(model, 2, new Map(model.graph.inputs.map((input) => [input.name, ids])));
}

/** `layer` numbers that stand in the names of matched tensors. */
const layers = (pairs: readonly { readonly student: Value; readonly teacher: Value }[]) =>
  pairs.map(({ student, teacher }) =>
    [student, teacher].map(({ name }) => Number(/\.(\d+)/.exec(name)?.[1])),
  );

describe.each(['gpt', 'bert'])('layers of %s', (name) => {
  const sizes = { mlpDim: 32 };
  const small = { hidden: [16], layers: 2, heads: 2, ...(name === 'bert' ? sizes : {}) };
  const large = { hidden: [24], layers: 4, heads: 4, ...(name === 'bert' ? sizes : {}) };

  it.each<[LayerMap, number[][]]>([
    [
      'uniform',
      [
        [0, 1],
        [1, 3],
      ],
    ],
    ['last', [[1, 3]]],
    [
      [
        [0, 0],
        [1, 2],
      ],
      [
        [0, 0],
        [1, 2],
      ],
    ],
  ])('%j', async (map, expected) => {
    const [student, teacher] = [await transformer(name, small), await transformer(name, large)];
    expect(layers(stageMatches(student, teacher, map))).toEqual(expected);
    const all = attentionMatches(student, teacher, map);
    expect(all.filter(({ kind }) => kind === 'state')).toEqual(stageMatches(student, teacher, map));
    const relations = attentionMatches(student, teacher, map, ['maps', 'values']);
    expect(all.slice(0, relations.length)).toEqual(relations);
    expect(relations.map(({ kind }) => kind)).toEqual(expected.flatMap(() => ['map', 'value']));
    expect(layers(relations)).toEqual(expected.flatMap((pair) => [pair, pair]));
    for (const { kind, student: s, teacher: t } of relations) {
      const shapes = kind === 'map' ? [6, 6] : [8, 6];
      expect([s.shape, t.shape]).toEqual([
        [2, 2, 6, shapes[0]],
        [2, 4, 6, shapes[1]],
      ]);
    }
  });

  it('that are not there are refused', async () => {
    const [student, teacher] = [await transformer(name, small), await transformer(name, large)];
    expect(() => stageMatches(student, teacher, [[2, 0]])).toThrow(/no layer 2: it has 2/);
  });
});

describe('feature maps', () => {
  const CONV = 'kernel_shape = [3, 3], pads = [1, 1, 1, 1]';
  const net = (body: string) => {
    const model = parseModel(`
g (float[2, 3, 8, 8] x) => (float[2, 4, 1, 1] y)
<float[4, 3, 3, 3] a = random, float[4, 4, 3, 3] b = random, float s = {0.1}, uint8 z = {0}>
{ ${body} }`);
    inferTypes(model);
    return model;
  };
  const plain = net(`
    c = Conv <${CONV}> (x, a)
    r = Relu(c)
    p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
    d = Conv <${CONV}> (p, b)
    t = Relu(d)
    g = GlobalAveragePool(t)
    w = Sigmoid(g)
    y = Relu(w)`);
  const quantized = net(`
    c = Conv <${CONV}> (x, a)
    cq = QuantizeLinear(c, s, z)
    cd = DequantizeLinear(cq, s, z)
    p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (cd)
    bq = QuantizeLinear(b, s, z)
    bd = DequantizeLinear(bq, s, z)
    d = Conv <${CONV}> (p, bd)
    dq = QuantizeLinear(d, s, z)
    dd = DequantizeLinear(dq, s, z)
    y = GlobalAveragePool(dd)`);
  const names = (student: Model, teacher: Model) =>
    stageMatches(student, teacher, 'uniform').map(({ student: s, teacher: t }) => [s.name, t.name]);

  it('are the last of each resolution, means over the map and weights are none', () => {
    expect(names(plain, plain)).toEqual([
      ['r', 'r'],
      ['t', 't'],
    ]);
  });

  it('of quantised models come out of DequantizeLinear', () => {
    expect(names(quantized, plain)).toEqual([
      ['cd', 'r'],
      ['dd', 't'],
    ]);
  });
});

const normal = (shape: readonly number[], seed: number) => {
  const random = new Random(seed, 'relations');
  const size = shape.reduce((a, b) => a * b, 1);
  return Tensor.of(
    'float32',
    shape,
    Float32Array.from({ length: size }, () => random.normal()),
  );
};

const lossOf = (kind: keyof typeof RELATION_LOSSES, s: Tensor, t: Tensor) =>
  lossBetween(RELATION_LOSSES[kind], s, t);

const softmax = (row: readonly number[]) => {
  const sum = row.reduce((total, value) => total + Math.exp(value), 0);
  return row.map((value) => Math.exp(value) / sum);
};
const divergence = (t: readonly number[], s: readonly number[]) =>
  t.reduce((sum, p, i) => sum + p * Math.log(p / (s[i] ?? 1)), 0);

describe('relations of attention', () => {
  const [n, seq] = [2, 3];

  it('values: the same number of heads, other widths', async () => {
    const [s, t] = [normal([n, 2, seq, 4], 1), normal([n, 2, seq, 5], 2)];
    const rows = (x: Tensor) => {
      const [values, d] = [x.numbers(), x.shape[3] ?? 1];
      const at = (head: number, i: number) =>
        values.slice((head * seq + i) * d, (head * seq + i + 1) * d);
      return [0, 1, 2, 3].flatMap((head) =>
        [0, 1, 2].map((i) =>
          softmax(
            [0, 1, 2].map((j) => {
              const [a, b] = [at(head, i), at(head, j)];
              return a.reduce((sum, value, k) => sum + value * (b[k] ?? 0), 0) / Math.sqrt(d);
            }),
          ),
        ),
      );
    };
    const [own, other] = [rows(s), rows(t)];
    const expected = other.reduce((sum, row, i) => sum + divergence(row, own[i] ?? []), 0);
    expect(await lossOf('value', s, t)).toBeCloseTo(expected / other.length, 5);
    expect(await lossOf('value', s, s)).toBeCloseTo(0, 6);
  });

  it('values: heads side by side are one of more width', async () => {
    const four = normal([n, 4, seq, 2], 3);
    // The same numbers in two heads of width four.
    const values = four.numbers();
    const two = Float32Array.from({ length: values.length }, (_, at) => {
      const [k, rest] = [at % 4, Math.floor(at / 4)];
      const [i, pair] = [rest % seq, Math.floor(rest / seq)];
      const [head, own] = [2 * pair + Math.floor(k / 2), k % 2];
      return values[(head * seq + i) * 2 + own] ?? 0;
    });
    const wide = Tensor.of('float32', [n, 2, seq, 4], two);
    expect(await lossOf('value', four, wide)).toBeCloseTo(0, 6);
    expect(await lossOf('value', normal([n, 4, seq, 2], 4), wide)).toBeGreaterThan(0.01);
  });

  it('maps: heads without a counterpart are averaged, masked places count for nothing', async () => {
    const map = (heads: number, seed: number) => {
      const scores = normal([n, heads, seq, seq], seed).numbers();
      const rows = Array.from({ length: n * heads * seq }, (_, r) =>
        softmax(
          scores
            .slice(r * seq, (r + 1) * seq)
            .map((score, j) => (j > r % seq ? Number.NEGATIVE_INFINITY : score)),
        ),
      );
      return { rows, tensor: Tensor.of('float32', [n, heads, seq, seq], rows.flat()) };
    };
    const [student, teacher] = [map(2, 5), map(4, 6)];
    let expected = 0;
    student.rows.forEach((row, r) => {
      const [i, head] = [r % seq, Math.floor(r / seq)];
      const [a, b] = [0, 1].map((k) => teacher.rows[(2 * head + k) * seq + i] ?? []);
      const mean = row.map((_, j) => ((a?.[j] ?? 0) + (b?.[j] ?? 0)) / 2);
      const visible = (list: readonly number[]) => list.slice(0, i + 1);
      expected += divergence(visible(mean), visible(row)) / student.rows.length;
    });
    expect(await lossOf('map', student.tensor, teacher.tensor)).toBeCloseTo(expected, 5);
  });
});
