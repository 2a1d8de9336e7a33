import { describe, expect, it } from '@jest/globals';
import type { Batch } from '../../src/data/dataset.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { noise } from '../../src/data/noise.ts';
import { attr, Builder, Graph, Model, symbol, tensorType } from '../../src/graph/index.ts';
import { compareLayers } from '../../src/runtime/layers.ts';
import type { SessionOptions } from '../../src/runtime/options.ts';
import { verifyModels } from '../../src/runtime/verify.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { floatsToHalves } from '../../src/tensor/float16.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const TOLERANCE = { rtol: 1e-3, atol: 1e-5 };
const OPTIONS = { tolerance: TOLERANCE, session: { optimization: 'basic', exact: true } } as const;

interface Variant {
  /** Added to one weight of the second layer. */
  readonly nudge?: number;
  readonly prefix?: string;
  readonly input?: string;
  readonly output?: string;
  /** Neg twice, which changes nothing, between the layers. */
  readonly detour?: boolean;
  readonly dtype?: DType;
  readonly classes?: number;
}

/** y = softmax(relu(x W1) W2), x [batch, 4]. */
function network(variant: Variant = {}): Model {
  const { nudge = 0, prefix = '', input = 'x', output = 'y', dtype = 'float32' } = variant;
  const { classes = 3 } = variant;
  const random = new Random(5);
  const weight = (rows: number, columns: number, first = 0) => {
    const values = Float32Array.from({ length: rows * columns }, () => random.normal());
    values[0] = (values[0] ?? 0) + first;
    return Tensor.of(dtype, [rows, columns], dtype === 'float16' ? floatsToHalves(values) : values);
  };
  const graph = new Graph('network');
  const g = new Builder(graph);
  const x = g.input(input, tensorType(dtype, [symbol('batch'), 4]));
  const named = (op: string, name: string, ...inputs: Parameters<Builder['op']>[1]) => {
    const value = g.op(op, inputs);
    value.name = `${prefix}${name}`;
    return value;
  };
  const hidden = named('MatMul', 'hidden', x, g.constant('w1', weight(4, 8)));
  let active = named('Relu', 'active', hidden);
  if (variant.detour) active = g.op('Neg', [g.op('Neg', [active])]);
  const logits = named('MatMul', 'logits', active, g.constant('w2', weight(8, classes, nudge)));
  const y = g.output(g.op('Softmax', [logits], { axis: attr.int(-1) }), output);
  y.type = tensorType(dtype, [symbol('batch'), classes]);
  return new Model(graph, new Map([['', 17]]), 8);
}

const batches = (model: Model, limit = 8, size = 4) =>
  noise(inputSpecs(model), { seed: 0, limit }).batches(size);

async function verify(a: Model, b: Model) {
  return verifyModels(a, b, batches(a), OPTIONS);
}

describe('verifyModels', () => {
  it('finds a model equal to itself, and to one written differently', async () => {
    for (const variant of [{}, { detour: true, prefix: 'm/' }]) {
      const result = await verify(network(), network(variant));
      expect(result).toMatchObject({ equal: true, samples: 8, batches: 2, missing: [], extra: [] });
      expect(result.outputs).toHaveLength(1);
      expect(result.outputs[0]).toMatchObject({ name: 'y', counterpart: 'y', top1: 1 });
      expect(result.outputs[0]?.comparison).toMatchObject({ elements: 24, mismatched: 0 });
    }
  });

  it('finds a changed weight, as large as it is', async () => {
    const result = await verify(network(), network({ nudge: 0.5 }));
    expect(result.equal).toBe(false);
    const comparison = result.outputs[0]?.comparison;
    expect(comparison?.mismatched).toBeGreaterThan(0);
    expect(comparison?.maxAbs).toBeGreaterThan(1e-3);
    expect(comparison?.cosine).toBeLessThan(1);
    const loose = { ...OPTIONS, tolerance: { rtol: 0, atol: 1 } };
    const a = network();
    const lenient = await verifyModels(a, network({ nudge: 0.5 }), batches(a), loose);
    expect(lenient.equal).toBe(true);
  });

  it('matches inputs and outputs of other names by position', async () => {
    const result = await verify(network(), network({ input: 'image', output: 'scores' }));
    expect(result.equal).toBe(true);
    expect(result.outputs[0]).toMatchObject({ name: 'y', counterpart: 'scores' });
  });

  it('compares a float16 model with its float32 origin', async () => {
    const result = await verify(network(), network({ dtype: 'float16' }));
    const comparison = result.outputs[0]?.comparison;
    expect(comparison?.maxAbs).toBeGreaterThan(0);
    expect(comparison?.maxAbs).toBeLessThan(0.01);
    expect(comparison?.cosine).toBeGreaterThan(0.9999);
  });

  it('tells shapes apart', async () => {
    const result = await verify(network(), network({ classes: 2 }));
    expect(result.equal).toBe(false);
    expect(result.outputs[0]?.comparison.problem).toBe('shape [4, 3] against [4, 2]');
  });

  it('counts a missing output as a difference, an extra one not', async () => {
    const more = network();
    const [relu] = [...more.graph.nodes].filter((node) => node.op === 'Relu');
    if (relu) more.graph.outputs.push(relu.output);
    if (relu) relu.output.type = tensorType('float32', [symbol('batch'), 8]);
    expect(await verify(more, network())).toMatchObject({ equal: false, missing: ['active'] });
    expect(await verify(network(), more)).toMatchObject({ equal: true, extra: ['active'] });
  });

  it('refuses models with other inputs', async () => {
    const two = network();
    two.graph.inputs.push(new Builder(new Graph()).input('z', tensorType('float32', [1])));
    await expect(verify(network(), two)).rejects.toMatchObject({
      kind: 'model',
      code: 'inputs-differ',
      message:
        'the models have different inputs: "A" takes 1 ("x" float32 [batch, 4]), ' +
        'but "B" takes 2 ("x" float32 [batch, 4], "z" float32 [1])',
    });
  });

  it('wants integers and booleans to be equal', async () => {
    const compare = (dtype: DType, constant: number) => {
      const graph = new Graph('greater');
      const g = new Builder(graph);
      const x = g.input('x', tensorType('float32', [6]));
      const cut = g.constant('cut', Tensor.of('float32', [], [constant]));
      const flag = g.op('Greater', [x, cut]);
      const y = dtype === 'bool' ? flag : g.op('Cast', [flag], { to: 7 });
      g.output(y, 'y').type = tensorType(dtype, [6]);
      return new Model(graph, new Map([['', 17]]), 8);
    };
    const tolerance = { rtol: 10, atol: 10 };
    for (const dtype of ['bool', 'int64'] as const) {
      const a = compare(dtype, 0);
      const run = (b: Model) => verifyModels(a, b, batches(a, 5), { ...OPTIONS, tolerance });
      expect(await run(compare(dtype, 0))).toMatchObject({ equal: true });
      const result = await run(compare(dtype, 1));
      expect(result.outputs[0]?.comparison).toMatchObject({ equal: false, maxAbs: 1 });
    }
  });

  // By default onnxruntime computes this MatMul in 8 bits: 5.0079 where 5 is right.
  it.each(['basic', 'all'] as const)('sees quantised weights as written (%s)', async (level) => {
    const build = (isQuantised: boolean) => {
      const graph = new Graph('weights');
      const g = new Builder(graph);
      const x = g.input('x', tensorType('float32', [1, 32]));
      const random = new Random(3);
      const codes = Int8Array.from({ length: 32 * 8 }, () => random.integer(255) - 127);
      const scale = Tensor.of('float32', [1, 8], new Float32Array(8).fill(1 / 64));
      const w = isQuantised
        ? g.op(
            'DequantizeLinear',
            [g.constant('q', Tensor.of('int8', [32, 8], codes)), g.constant('s', scale)],
            { axis: 0, block_size: 32 },
          )
        : g.constant(
            'w',
            Tensor.of(
              'float32',
              [32, 8],
              Float32Array.from(codes, (c) => c / 64),
            ),
          );
      const y = g.output(g.op('MatMul', [x, w]), 'y');
      y.type = tensorType('float32', [1, 8]);
      return new Model(graph, new Map([['', 21]]), 10);
    };
    const a = build(false);
    const tolerance = { rtol: 1e-5, atol: 1e-5 };
    const run = (session: SessionOptions) =>
      verifyModels(a, build(true), batches(a, 4, 1), { tolerance, session });
    expect(await run({ optimization: level, exact: true })).toMatchObject({ equal: true });
  });

  it('takes NaN for NaN, but says so', async () => {
    const root = () => {
      const graph = new Graph('root');
      const g = new Builder(graph);
      const y = g.output(g.op('Sqrt', [g.input('x', tensorType('float32', [64]))]), 'y');
      y.type = tensorType('float32', [64]);
      return new Model(graph, new Map([['', 17]]), 8);
    };
    const result = await verify(root(), root());
    expect(result.equal).toBe(true);
    expect(result.outputs[0]?.comparison.agreedNonFinite).toBeGreaterThan(20);
  });
});

describe('compareLayers', () => {
  const feeds = async (model: Model): Promise<Batch['feeds']> => {
    for await (const batch of batches(model)) return batch.feeds;
    throw new Error('no batch');
  };

  async function layers(variant: Variant, portionBytes?: number) {
    const a = network();
    const options = portionBytes === undefined ? OPTIONS : { ...OPTIONS, portionBytes };
    return compareLayers(a, network(variant), await feeds(a), options);
  }

  it('names the first value that differs', async () => {
    const report = await layers({ nudge: 0.5 });
    expect(report).toMatchObject({ total: 4, byName: 4, byPosition: 0 });
    expect(report.layers.map((layer) => [layer.name, layer.comparison.equal])).toEqual([
      ['hidden', true],
      ['active', true],
      ['logits', false],
      ['y', false],
    ]);
    expect(report.first).toMatchObject({ name: 'logits', node: expect.stringMatching(/MatMul/) });
  });

  it('finds it where names and structure differ', async () => {
    const report = await layers({ nudge: 0.5, prefix: 'other/', detour: true });
    expect(report).toMatchObject({ total: 4, byName: 1, byPosition: 3 });
    expect(report.first).toMatchObject({
      name: 'logits',
      counterpart: 'other/logits',
      by: 'position',
    });
  });

  it('passes over names that mean something else, where all agrees again later', async () => {
    const negated = network();
    const [matmul, relu] = [...negated.graph.nodes];
    // hidden = -(x W1), and the Relu after it reads its negative.
    const g = new Builder(negated.graph, relu);
    const [x, w] = [matmul?.input(0), matmul?.input(1)];
    const other = g.op('Neg', [g.op('MatMul', [x, w])]);
    relu?.setInput(0, g.op('Neg', [other]));
    if (matmul) negated.graph.remove(matmul);
    other.name = 'hidden';
    const a = network();
    const report = await compareLayers(a, negated, await feeds(a), OPTIONS);
    expect(report.layers.map((layer) => [layer.name, layer.comparison.equal])).toEqual([
      ['hidden', false],
      ['active', true],
      ['logits', true],
      ['y', true],
    ]);
    expect(report.layers.some((layer) => layer.matters)).toBe(false);
    expect(report.first).toBeUndefined();
  });

  it('says the same when values are observed one at a time', async () => {
    const [whole, small] = [await layers({ nudge: 0.5 }), await layers({ nudge: 0.5 }, 1)];
    expect(small).toEqual(whole);
  });
});
