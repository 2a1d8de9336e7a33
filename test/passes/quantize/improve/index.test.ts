// The table of improvements: names, order, what they need; and that one which does not pay is undone.

import { describe, expect, test } from '@jest/globals';
import type { Model } from '../../../../src/graph/index.ts';
import { inferTypes } from '../../../../src/ops/index.ts';
import {
  IMPROVEMENTS,
  improveFloat,
  improvementsNamed,
  improveQuantized,
} from '../../../../src/passes/quantize/improve/index.ts';
import { quantizeBy } from '../../../../src/passes/quantize/index.ts';
import type { Settings } from '../../../../src/passes/quantize/settings.ts';
import { Random } from '../../../../src/tensor/random.ts';
import { Tensor } from '../../../../src/tensor/tensor.ts';
import { parseModel } from '../../../helpers/parse.ts';
import { distance, INT8, improving, quantizedPlainly } from './fixture.ts';

test('names are those of files and unique; unknown ones are told with the nearest', () => {
  const names = IMPROVEMENTS.map(({ name }) => name);
  expect(names).toEqual([
    'cross-layer-equalization',
    'smooth-quant',
    'adaround',
    'bias-correction',
  ]);
  expect(improvementsNamed(['bias-correction', 'smooth-quant']).map(({ name }) => name)).toEqual([
    'smooth-quant',
    'bias-correction',
  ]);
  expect(() => improvementsNamed(['smoothquant'])).toThrow(/smoothquant/);
});

const float = () =>
  parseModel(`g (float[2, 3, 6, 6] x) => (float y)
    <float[4, 3, 3, 3] w1 = random, float[4] b1 = random, float[4, 4, 3, 3] w2 = random, float[4] b2 = random>
    { [a] p = Conv(x, w1, b1) q = Relu(p) [b] y = Conv(q, w2, b2) }`);

const random = new Random(0, 'index');
const feeds = [1, 2].map(
  () =>
    new Map([
      [
        'x',
        Tensor.of(
          'float32',
          [2, 3, 6, 6],
          Float32Array.from({ length: 216 }, () => random.normal()),
        ),
      ],
    ]),
);

async function improve(trial?: (model: Model) => Promise<Model>) {
  const model = float();
  inferTypes(model);
  const { context, notes } = improving(feeds);
  const chosen = improvementsNamed(['cross-layer-equalization']);
  const changed = await improveFloat(model, chosen, INT8, context, trial);
  return { model, changed, notes };
}

describe('an improvement of the float model', () => {
  test('is kept where nothing is tried', async () => {
    const { changed, model } = await improve();
    expect(changed).toEqual(['cross-layer-equalization']);
    const before = float();
    inferTypes(before);
    const found = await distance(before, model, feeds);
    expect(found.relNorm).toBeLessThan(1e-6);
    expect(found.relNorm).toBeGreaterThan(0);
  });

  test('is taken back where quantised outputs do not come closer', async () => {
    let tried = 0;
    const { changed, model, notes } = await improve(async (one) => {
      tried += 1;
      // The first is the model as it was: in 8 bits. In 4 bits nothing can be better.
      return quantizedPlainly(one, feeds, { bits: tried === 1 ? 8 : 4 });
    });
    expect(tried).toBe(2);
    expect(changed).toEqual([]);
    expect(notes[0]).toMatch(/taken back, as the error of the quantised outputs goes from/);
    const before = float();
    inferTypes(before);
    expect((await distance(before, model, feeds)).maxAbs).toBe(0);
  });

  test('is kept where they do', async () => {
    let tried = 0;
    const { changed } = await improve(async (one) => {
      tried += 1;
      return quantizedPlainly(one, feeds, { bits: tried === 1 ? 4 : 8 });
    });
    expect(changed).toEqual(['cross-layer-equalization']);
  });
});

test('what needs data is left out without it', async () => {
  const model = float();
  inferTypes(model);
  const quantized = await quantizedPlainly(model, feeds, { bits: 4 });
  const { context } = improving();
  expect(await improveFloat(model, improvementsNamed(['smooth-quant']), INT8, context)).toEqual([]);
  const after = improvementsNamed(['adaround', 'bias-correction']);
  expect(await improveQuantized(quantized, model, after, INT8, context)).toEqual([]);
});

test('all together, in their order, on a model in 4 bits', async () => {
  const model = float();
  inferTypes(model);
  const plain = await quantizedPlainly(model, feeds, { bits: 4 });
  const { context } = improving(feeds);
  const names = IMPROVEMENTS.map(({ name }) => name);
  const improved = model.clone();
  inferTypes(improved);
  await improveFloat(improved, improvementsNamed(names), INT8, context);
  const quantized = await quantizedPlainly(improved, feeds, { bits: 4 });
  const changed = await improveQuantized(
    quantized,
    improved,
    improvementsNamed(names),
    INT8,
    context,
  );
  expect(changed[0]).toBe('adaround');
  const before = await distance(model, plain, feeds);
  expect((await distance(model, quantized, feeds)).relNorm).toBeLessThan(before.relNorm * 0.8);
});

test.each(['qdq', 'qoperator'] as const)('mends what is %s in the end', async (format) => {
  const model = float();
  inferTypes(model);
  const { context } = improving(feeds);
  const results = [];
  for (const improvements of [[], ['adaround', 'bias-correction']]) {
    const quantized = model.clone();
    await quantizeBy(quantized, settingsOf(format, improvements), context, model);
    results.push({ quantized, ...(await distance(model, quantized, feeds)) });
  }
  const [plain, mended] = results;
  expect(mended?.relNorm).toBeLessThan(plain?.relNorm ?? 0);
  const ops = [...(mended?.quantized.graph.nodes ?? [])].map(({ op }) => op);
  expect(ops.includes('QLinearConv')).toBe(format === 'qoperator');
});

function settingsOf(format: Settings['format'], improvements: readonly string[]): Settings {
  return {
    ...{ mode: 'static', bits: 8, activations: 'uint8', weights: 'int8', perChannel: false },
    ...{ symmetric: false, reduceRange: false, format, block: 'channel', algorithm: 'rtn' },
    ...{ keepIo: true, improvements },
  } as Settings;
}
