import { beforeAll, describe, expect, it } from '@jest/globals';
import { prepareQat, type Qat, type QatType } from '../../src/cli/train-qat.ts';
import { putWeights } from '../../src/cli/train-weights.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { openDataset } from '../../src/data/open.ts';
import { readModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { Reporter } from '../../src/report/reporter.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { quantizedWeights, roundBiases } from '../../src/train/fake-quantize.ts';
import { learnedScales } from '../../src/train/scales.ts';
import { parseModel } from '../helpers/parse.ts';

const source = { data: 'fixtures/digits-train.npz', seed: 0 };
const reporter = new Reporter({
  quiet: true,
  verbose: false,
  color: false,
  stream: process.stderr,
});

async function qatOf(path: string, type: QatType): Promise<{ qat: Qat; feeds: Feeds }> {
  const original = readModel(path);
  const dataset = await openDataset(source.data, inputSpecs(original), source);
  const qat = await prepareQat({
    ...{ type, path, original, data: dataset, source, batch: 16, samples: 64 },
    ...{ freeze: 0.8, skip: [], seed: 0, session: {}, reporter },
  });
  const taken = await dataset.take?.([3, 50, 700]);
  return { qat, feeds: taken?.feeds ?? new Map() };
}

/** Weights, scales and biases as training might leave them. */
function moved({ fake }: Qat): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  const change = (name: string, of: (x: number, random: Random) => number) => {
    const value = [...fake.model.graph.initializers].find((one) => one.name === name);
    const tensor = value?.data as Tensor;
    const random = new Random(7, name);
    const numbers = Float32Array.from(elementsOf(tensor) as Float32Array, (x) => of(x, random));
    found.set(name, Tensor.of('float32', tensor.shape, numbers));
  };
  for (const { float, scale } of fake.weights) {
    change(float, (x, random) => x + 0.02 * random.normal());
    change(scale, (x, random) => x * (0.5 + random.uniform()));
  }
  for (const { float, operands } of fake.biases) {
    change(float, (x, random) => x + 0.05 * random.normal());
    change(operands[0], (x, random) => x * (0.8 + 0.4 * random.uniform()));
  }
  return found;
}

describe.each([
  ['fixtures/digits.onnx', 'int8'],
  ['fixtures/digits.onnx', 'int4'],
  ['fixtures/digits-transformer.onnx', 'int8'],
  ['fixtures/digits-transformer.onnx', 'int4'],
] as const)('the fake-quantised twin of %s, %s', (path, type) => {
  let made: { qat: Qat; feeds: Feeds };
  beforeAll(async () => {
    made = await qatOf(path, type);
  });

  it('computes, bit by bit, what the quantised model computes', async () => {
    const { qat, feeds } = made;
    const weights = moved(qat);
    const twin = putWeights(qat.fake.model, weights);
    roundBiases(twin, qat.fake.biases);
    const written = putWeights(qat.quantized, quantizedWeights(qat.fake, weights));
    const outputs = [];
    for (const model of [twin, written]) {
      inferTypes(model);
      const session = await loadModel(model, { optimization: 'disabled' });
      outputs.push(await session.run(feeds));
      await session.dispose();
    }
    const [a, b] = outputs.map((results) => [...results.values()].map((one) => one.bytes()));
    expect(a).toEqual(b);
    expect(new Set(outputs[0]?.values().next().value?.numbers()).size).toBeGreaterThan(10);
  });

  it('holds every weight as a float, and no code', () => {
    const { fake, quantized } = made.qat;
    const codes = [...quantized.graph.initializers].filter(
      ({ dtype, uses }) =>
        dtype !== 'float32' &&
        uses.every(({ node, index }) => node.op === 'DequantizeLinear' && index === 0),
    );
    expect(fake.weights.length + fake.biases.length).toBe(codes.length);
    const held = new Set([...fake.model.graph.initializers].map(({ name }) => name));
    expect(codes.filter(({ name }) => held.has(name))).toEqual([]);
  });
});

describe('scales', () => {
  it('have gradients as large as those of what they round', () => {
    const model = parseModel(`g (float[2,3,8,8] x) => (float[2,4,6,6] y) <
      float s = {0.1}, uint8 z = {0},
      float[4,3,3,3] W = random, float[4] t = {0.1, 0.1, 0.1, 0.1}, int8[4] n = {0, 0, 0, 0}
    > {
      q = QuantizeLinear(x, s, z)
      d = DequantizeLinear(q, s, z)
      p = QuantizeLinear<axis = 0>(W, t, n)
      w = DequantizeLinear<axis = 0>(p, t, n)
      y = Conv(d, w)
    }`);
    inferTypes(model);
    const found = learnedScales(model, new Set(['t']));
    const named = new Map([...found].map(([value, factor]) => [value.name, factor]));
    expect(named.get('s')).toBeCloseTo(1 / Math.sqrt(3 * 8 * 8 * 255), 9);
    expect(named.get('t')).toBeCloseTo(1 / Math.sqrt(27 * 127), 9);
  });
});
