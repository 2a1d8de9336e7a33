// Cross-layer equalisation: the same function in float, even channels, and what that gains where a
// whole tensor has one scale; what cannot be equalised is left, with the reason.

import { describe, expect, it, test } from '@jest/globals';
import { architectureNamed } from '../../../../src/archs/index.ts';
import type { SizedInput } from '../../../../src/data/inputs.ts';
import { inputSpecs } from '../../../../src/data/inputs.ts';
import { randomFeeds } from '../../../../src/data/random.ts';
import { Builder, type Model, type Node, type Value } from '../../../../src/graph/index.ts';
import { decodeModel, encodeModel, readModel } from '../../../../src/onnx/index.ts';
import { inferTypes } from '../../../../src/ops/index.ts';
import equalization from '../../../../src/passes/quantize/improve/cross-layer-equalization.ts';
import type { Feeds } from '../../../../src/tensor/feeds.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { floatsOf, scaleAxis } from '../../../../src/tensor/scale.ts';
import type { Tensor } from '../../../../src/tensor/tensor.ts';
import { transposeTensor } from '../../../../src/tensor/transpose.ts';
import { parseModel } from '../../../helpers/parse.ts';
import { sharedPath } from '../../../helpers/shared.ts';
import { distance, INT8, improving, prepared, quantizedPlainly } from './fixture.ts';

async function equalized(model: Model) {
  const after = model.clone();
  inferTypes(after);
  const { context, notes } = improving();
  const changed = await equalization.run(after, INT8, context);
  return { after, notes, changed };
}

function noise(model: Model, count = 2): Feeds[] {
  const inputs = inputSpecs(model).map((spec) => ({
    ...spec,
    shape: spec.shape.map((dim) => (typeof dim === 'number' ? dim : 2)),
  })) as SizedInput[];
  return Array.from({ length: count }, (_, i) => randomFeeds(inputs, 0, i));
}

/** Largest magnitude per index of the first axis. */
function rowRanges(tensor: Tensor): number[] {
  const values = floatsOf(tensor);
  const { shape } = tensor;
  const [rows = 1] = shape;
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, r) =>
    values.slice(r * width, (r + 1) * width).reduce((m, w) => Math.max(m, Math.abs(w)), 0),
  );
}

const weightOf = (model: Model, name: string) =>
  [...model.graph.nodes].find((node) => node.name === name)?.input(1)?.data as Tensor;

const model = (output: string, weights: string, nodes: string) =>
  parseModel(`g (float[2, 3, 8, 8] x) => (${output} y)
    <float[4, 3, 3, 3] w1 = random, float[4] b1 = random, ${weights}> { ${nodes} }`);

describe('a pair of layers computes the same', () => {
  const w2 = 'float[4, 4, 3, 3] w2 = random, float[4] b2 = random';
  const image = 'float[2, 4, 4, 4]';
  const conv = (between: string) =>
    model(
      image,
      `${w2}, float[4, 1, 1] c = random, float[4, 1, 1] d = random`,
      `[first] a = Conv(x, w1, b1) ${between} [second] y = Conv(b, w2, b2)`,
    );
  const flat = (between: string) =>
    model(
      'float[2, 5]',
      'float[144, 5] w2 = random, float[5] b2 = random, int64[2] s = {2, -1}',
      `[first] a = Conv(x, w1, b1) r = Relu(a) p = MaxPool<kernel_shape=[1, 1]>(r) ${between}`,
    );

  test.each([
    ['Relu', conv('b = Relu(a)')],
    ['LeakyRelu', conv('b = LeakyRelu<alpha=0.1>(a)')],
    ['PRelu', conv('b = PRelu(a, c)')],
    ['an Add and a Mul per channel', conv('e = Add(a, c) f = Relu(e) b = Mul(d, f)')],
    ['a Clip without an upper bound', conv('e = Add(a, c) b = Clip<min=0.0>(e)')],
    ['pooling', conv('e = Relu(a) b = AveragePool<kernel_shape=[1, 1]>(e)')],
    [
      'groups',
      model(
        image,
        'float[4, 2, 3, 3] w2 = random, float[4, 4, 1, 1] w3 = random',
        '[first] a = Conv(x, w1, b1) b = Relu(a) [g] c = Conv<group=2>(b, w2) [last] y = Conv(c, w3)',
      ),
    ],
    [
      'depthwise',
      model(
        image,
        'float[4, 1, 3, 3] w2 = random, float[4] b2 = random, float[4, 4, 1, 1] w3 = random',
        '[first] a = Conv(x, w1, b1) b = Relu(a) [d] c = Conv<group=4>(b, w2, b2) d = Relu(c) [last] y = Conv(d, w3)',
      ),
    ],
    [
      'a transposed convolution',
      model(
        'float[2, 6, 8, 8]',
        'float[4, 2, 1, 1] w2 = random, float[4, 6, 3, 3] w3 = random',
        '[first] a = Conv(x, w1, b1) [t] b = ConvTranspose<group=2>(a, w2) c = Relu(b) [last] y = ConvTranspose(c, w3)',
      ),
    ],
    ['Flatten and Gemm', flat('f = Flatten(p) [second] y = Gemm(f, w2, b2)')],
    ['Reshape and MatMul', flat('f = Reshape(p, s) [second] y = MatMul(f, w2)')],
    [
      'channels last',
      flat('t = Transpose<perm=[0, 2, 3, 1]>(p) f = Flatten(t) [second] y = MatMul(f, w2)'),
    ],
  ])('with %s between', async (_, before) => {
    if (before.opset > 10 && [...before.graph.nodes].some(({ op }) => op === 'Clip')) {
      before.opsets.set('', 10);
    }
    const { after, changed } = await equalized(before);
    expect(changed).toBe(true);
    expect((await distance(before, after, noise(before))).relNorm).toBeLessThan(1e-6);
  });
});

test('ranges of rows and columns become equal, up to a factor for all', async () => {
  const before = model(
    'float[2, 4, 4, 4]',
    'float[4, 4, 3, 3] w2 = random',
    '[first] a = Conv(x, w1) b = Relu(a) [second] y = Conv(b, w2)',
  );
  unbalance(before, 1000);
  const { after } = await equalized(before);
  const rows = rowRanges(weightOf(after, 'first'));
  const columns = rowRanges(transposeTensor(weightOf(after, 'second'), [1, 0, 2, 3]));
  const ratios = rows.map((r, i) => r / (columns[i] as number));
  expect(Math.max(...ratios) / Math.min(...ratios)).toBeCloseTo(1, 2);
});

test('a bias does not grow beyond the largest one of its layer', async () => {
  const before = model(
    'float[2, 4, 4, 4]',
    'float[4, 4, 3, 3] w2 = random',
    '[first] a = Conv(x, w1, b1) b = Relu(a) [second] y = Conv(b, w2)',
  );
  const [conv] = [...before.graph.nodes] as [Node];
  // Channel 2 has hardly any weights, and a bias like the others.
  const data = scaleAxis(conv.input(1)?.data as Tensor, 0, [1, 1, 1e-6, 1]);
  before.graph.setData(conv.input(1) as Value, data);
  const { after } = await equalized(before);
  const biases = [before, after].map((m) => {
    const [first] = [...m.graph.nodes] as [Node];
    return Math.max(...floatsOf(first.input(2)?.data as Tensor).map(Math.abs));
  });
  expect(biases[1]).toBeLessThanOrEqual((biases[0] as number) * 1.0001);
  expect((await distance(before, after, noise(before))).relNorm).toBeLessThan(1e-6);
});

describe('what cannot be equalised is left, with the reason', () => {
  const w2 = 'float[4, 4, 3, 3] w2 = random';
  test.each([
    [
      'a weight used twice',
      'float[4, 4, 1, 1] w2 = random',
      'a = Conv(x, w1) b = Relu(a) [first] c = Conv(b, w2) d = Relu(c) y = Conv(d, w2)',
      'shares its weight',
    ],
    [
      'a residual',
      w2,
      '[first] a = Conv(x, w1) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, w2) y = Add(a, c)',
      'read more than once',
    ],
    [
      'a function that is not homogeneous',
      w2,
      '[first] a = Conv(x, w1) b = Sigmoid(a) y = Conv(b, w2)',
      'stands in between',
    ],
    [
      'bounds',
      w2,
      '[first] a = Conv(x, w1) b = Clip<min=0.0, max=6.0>(a) y = Conv(b, w2)',
      'bounds that all channels share',
    ],
    [
      'a weight that is calculated',
      w2,
      '[first] a = Conv(x, w1) b = Relu(a) v = Neg(w2) y = Conv(b, v)',
      'is not constant',
    ],
  ])('%s', async (_, weights, nodes, reason) => {
    const before = model('float[2, 4, N, M]', weights, nodes);
    before.opsets.set('', 10);
    const { changed, notes } = await equalized(before);
    expect(changed).toBe(false);
    expect(notes.find((note) => note.startsWith('first: '))).toContain(reason);
  });

  it('an output of the graph', async () => {
    const before = parseModel(`g (float[1, 3] x) => (float[1, 4] a, float[1, 4] y)
      <float[3, 4] w1 = random, float[4, 4] w2 = random> { [first] a = MatMul(x, w1) y = MatMul(a, w2) }`);
    const { changed, notes } = await equalized(before);
    expect(changed).toBe(false);
    expect(notes[0]).toContain('is an output');
  });
});

/** Multiplies channels between two layers with factors from 1 / most to 1, and takes them back. */
function unbalance(model: Model, most: number): void {
  const random = new Random(3, 'unbalance');
  for (const node of model.graph.nodes) {
    if (node.op !== 'Conv') continue;
    const [relu] = node.output.uses;
    const next = relu?.node.output.uses[0]?.node;
    const isPair = relu?.node.op === 'Relu' && relu.node.output.uses.length === 1;
    if (!isPair || next?.op !== 'Conv' || node.output.uses.length > 1) continue;
    const channels = node.input(1)?.shape?.[0] as number;
    const factors = Array.from({ length: channels }, () => most ** -random.uniform());
    const scale = (index: number, at: Node, axis: number, by: number[]) => {
      const value = at.input(index) as Value;
      if (value) model.graph.setData(value, scaleAxis(value.data as Tensor, axis, by));
    };
    scale(1, node, 0, factors);
    if (node.input(2)) scale(2, node, 0, factors);
    const isDepthwise = next.int('group', 1) > 1;
    scale(
      1,
      next,
      isDepthwise ? 0 : 1,
      factors.map((f) => 1 / f),
    );
  }
}

test('mobilenetv2 with uneven channels keeps its function, and can be quantised again', async () => {
  const build = architectureNamed('mobilenetv2').build(
    { in: [3, 32, 32], classes: 10, width: 0.25 },
    0,
  );
  for (const node of [...build.graph.nodes]) {
    if (node.op !== 'Clip') continue;
    const relu = new Builder(build.graph, node).op('Relu', [node.input(0)]);
    build.graph.replace(node.output, relu);
    build.graph.remove(node);
  }
  const before = await prepared(decodeModel(await encodeModel(build)));
  unbalance(before, 100);
  const feeds = noise(before, 4);
  const { after, changed } = await equalized(before);
  expect(changed).toBe(true);
  expect((await distance(before, after, feeds)).relNorm).toBeLessThan(1e-5);
  const perTensor = { perChannel: false };
  const plain = await distance(before, await quantizedPlainly(before, feeds, perTensor), feeds);
  const even = await distance(before, await quantizedPlainly(after, feeds, perTensor), feeds);
  expect(even.relNorm).toBeLessThan(plain.relNorm / 3);
});

test.each([
  ['cifar10_resnet_4b'],
  ['mlperf_ic_resnet8'],
  ['dnsmos_model_v8'],
  ['mnist_8'],
  ['winml_iris_net'],
])('%s computes the same', async (name) => {
  const path = sharedPath('models', `${name}.onnx`);
  if (!path) return;
  const before = await prepared(await readModel(path));
  const { after, changed } = await equalized(before);
  expect(changed).toBe(true);
  const found = await distance(before, after, noise(before));
  expect(found.relNorm).toBeLessThan(1e-5);
});
