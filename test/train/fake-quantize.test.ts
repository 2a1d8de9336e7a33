import { beforeAll, describe, expect, it } from '@jest/globals';
import { prepareQat, type Qat, type QatType } from '../../src/cli/train/qat.ts';
import { putWeights } from '../../src/cli/train/weights.ts';
import { inputSpecs } from '../../src/data/inputs.ts';
import { openDataset } from '../../src/data/open.ts';
import type { Value } from '../../src/graph/index.ts';
import { readModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { Reporter } from '../../src/report/reporter.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { quantizedWeights, roundBiases } from '../../src/train/fake-quantize.ts';
import { NEXT, STEPS } from '../../src/train/loop.ts';
import { OBJECTIVES } from '../../src/train/objectives/index.ts';
import { OBJECTIVE_DEFAULTS } from '../../src/train/objectives/objective.ts';
import { OPTIMIZER_DEFAULTS, OPTIMIZERS, type Optimizer } from '../../src/train/optimizers.ts';
import { RATE, SCALE_RATE } from '../../src/train/plan.ts';
import { learnedScales } from '../../src/train/scales.ts';
import { buildTraining } from '../../src/train/step.ts';
import { initialState } from '../../src/train/trainer.ts';
import { widenCodes } from '../../src/train/wide-codes.ts';
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
    widenCodes(twin);
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

it('rounds to four bits by eight and a clip', async () => {
  const model =
    parseModel(`g (float[2,3] x) => (float[2,3] y) <float[2] s = {0.2, 0.5}, int8[2] z = {0, 0}> {
    q = QuantizeLinear<axis = 0>(x, s, z)
    y = DequantizeLinear<axis = 0>(q, s, z)
  }`);
  model.opsets.set('', 21);
  const zeros = [...model.graph.initializers].find(({ name }) => name === 'z');
  if (zeros) model.graph.setData(zeros, Tensor.fromBytes('int4', [2], Uint8Array.of(0)));
  inferTypes(model);
  widenCodes(model);
  const session = await loadModel(model, { optimization: 'disabled' });
  const x = Tensor.of('float32', [2, 3], [-9, 0.31, 9, 1.2, -3.9, -4.3]);
  const y = (await session.run(new Map([['x', x]]))).get('y');
  await session.dispose();
  const found = y?.numbers().map((value) => Math.round(value * 100) / 100);
  expect(found).toEqual([-1.6, 0.4, 1.4, 1, -4, -4]);
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

describe('a step with scales', () => {
  // y = x · round(W/s) s over one sample with target 0: dL/dy = 2y/3 for the mean of three squares.
  const W = [0.33, -0.12, 0.9];
  const [s, factor] = [0.1, 0.05];
  const q = [3, -1, 7];
  const dy = q.map((code) => (2 * code * s) / 3);
  const inside = [1, 1, 0];
  const ds = q.reduce((sum, code, i) => {
    return sum + (dy[i] ?? 0) * (code - (inside[i] ? (W[i] ?? 0) / s : 0));
  }, 0);

  async function step(scaleRate: number) {
    const model = parseModel(`g (float[1,1] x) => (float[1,3] y) <
      float[1,3] W = {${W}}, float s = {${s}}, int8 z = {0}
    > {
      q = QuantizeLinear(W, s, z)
      w = DequantizeLinear(q, s, z)
      y = MatMul(x, w)
    }`);
    model.opsets.set('', 21);
    const values = new Map([...model.graph.initializers].map((value) => [value.name, value]));
    const [weight, scale, zero] = ['W', 's', 'z'].map((name) => values.get(name) as Value);
    model.graph.setData(zero as Value, Tensor.fromBytes('int4', [], Uint8Array.of(0)));
    inferTypes(model);
    const graph = buildTraining({
      model,
      parameters: [weight as Value, scale as Value],
      scales: new Map([[scale as Value, factor]]),
      buffers: [],
      objective: OBJECTIVES.regress,
      settings: OBJECTIVE_DEFAULTS,
      optimizer: OPTIMIZERS['sgd'] as Optimizer,
      optimizerSettings: { ...OPTIMIZER_DEFAULTS, momentum: 0 },
      decay: () => 0,
    });
    const session = await loadModel(graph.model);
    const one = (name: string, shape: number[], numbers: number[]) =>
      [name, Tensor.of('float32', shape, numbers)] as const;
    const found = await session.run(
      new Map([
        ...initialState(graph),
        one('x', [1, 1, 1], [1]),
        one('target/labels', [1, 1, 3], [0, 0, 0]),
        one(RATE, [1], [0.1]),
        one(SCALE_RATE, [1], [scaleRate]),
        [STEPS, Tensor.scalar('int64', 1)] as const,
      ]),
    );
    await session.dispose();
    const of = (name: string) => found.get(name)?.numbers() ?? [];
    return {
      W: of(`${NEXT}W`),
      s: of(`${NEXT}s`)[0] ?? Number.NaN,
      norm: of(graph.reports.get('gradient_norm') ?? '')[0],
    };
  }

  it('moves weights straight through, and the scale by its own rate', async () => {
    const found = await step(0.05);
    for (const [i, w] of W.entries()) {
      expect(found.W[i]).toBeCloseTo(w - 0.1 * (dy[i] ?? 0) * (inside[i] ?? 0), 5);
    }
    expect(found.s).toBeCloseTo(s - 0.05 * factor * ds, 6);
    // The norm that gradients are clipped by is that of weights.
    expect(found.norm).toBeCloseTo(Math.hypot(...dy.slice(0, 2)), 5);
  });

  it('leaves the scale alone at rate 0, and never moves it by more than a tenth', async () => {
    expect((await step(0)).s).toBe(Math.fround(s));
    expect((await step(1000)).s).toBeCloseTo(0.9 * s, 6);
  });
});
