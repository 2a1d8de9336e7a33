// Architectures: parameter counts and work against the published figures, and each of them run in
// onnxruntime at two sizes.

import { describe, expect, it } from '@jest/globals';
import { architectureNamed, architectures, type Choices } from '../../src/archs/index.ts';
import { checkModel, type Model, sameShape } from '../../src/graph/index.ts';
import { modelCost, nodeCost } from '../../src/ops/cost.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { contentKey } from '../../src/tensor/hash.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';

const build = (name: string, choices: Partial<Choices> = {}, seed = 0) =>
  architectureNamed(name).build(choices, seed);

function work(model: Model, ops: readonly string[]): number {
  inferTypes(model);
  let sum = 0;
  for (const node of model.graph.nodes) {
    if (ops.includes(node.op)) sum += Number(nodeCost(model, node));
  }
  return sum;
}

describe('published figures', () => {
  // torchvision's and Hugging Face's counts of parameters, running statistics left out.
  it.each([
    ['resnet18', {}, 11_689_512],
    ['resnet50', {}, 25_557_032],
    ['resnet20', {}, 272_474],
    ['mobilenetv2', {}, 3_504_872],
    ['vit', {}, 86_567_656],
    ['vit', { patch: 32 }, 88_224_232],
    ['vit', { hidden: [1024], layers: 24, heads: 16, mlpDim: 4096 }, 304_326_632],
    ['bert', {}, 109_482_240],
    ['bert', { head: 'mlm' }, 109_514_298],
    ['bert', { hidden: [128], layers: 2, heads: 2, mlpDim: 512 }, 4_385_920],
    ['gpt', {}, 124_439_808],
    ['gpt', { hidden: [1024], layers: 24, heads: 16 }, 354_823_168],
    // torch.nn.Transformer of these sizes, and three tables.
    ['transformer', {}, 44_140_544 + 32000 * 512 + 2 * 256 * 512],
  ] as const)('%s %j has %i parameters', (name, choices, expected) => {
    const model = build(name, choices);
    expect(modelCost(model).trainable).toBe(expected);
  });

  // GMAC for one image: torchvision's figures; for ViT-B/16 the attention products are counted, too.
  it.each([
    ['resnet18', {}, 1.814],
    ['resnet50', {}, 4.089],
    ['mobilenetv2', {}, 0.301],
    ['vit', {}, 17.56],
  ] as const)('%s %j does %d GMAC', (name, choices, expected) => {
    const model = build(name, choices);
    const [input] = model.graph.inputs;
    if (input?.type?.kind !== 'tensor') throw new Error('the input is a tensor');
    input.type = { ...input.type, shape: [1, 3, 224, 224] };
    const macs = work(model, ['Conv', 'Gemm', 'MatMul']) / 1e9;
    expect(Math.abs(macs / expected - 1)).toBeLessThan(0.005);
  });
});

interface Case {
  readonly name: string;
  readonly choices: Partial<Choices>;
  /** Sizes of symbols, twice. */
  readonly runs: readonly Readonly<Record<string, number>>[];
  /** Bound of the standard deviation of each output. */
  readonly deviation: readonly [number, number];
}

const SMALL_TRANSFORMER = { hidden: [64], layers: 2, heads: 4, seq: 32, vocab: 100 };
const IMAGES = [{ batch: 1 }, { batch: 3 }];
const TEXTS = [
  { batch: 1, seq: 5 },
  { batch: 3, seq: 32 },
];

const CASES: readonly Case[] = [
  { name: 'mlp', choices: {}, runs: IMAGES, deviation: [0.2, 3] },
  { name: 'mlp', choices: { in: [13], hidden: [8] }, runs: IMAGES, deviation: [0.1, 3] },
  { name: 'cnn', choices: {}, runs: IMAGES, deviation: [0.1, 3] },
  { name: 'cnn', choices: { in: [3, 33, 50], layers: 3 }, runs: IMAGES, deviation: [0.1, 3] },
  { name: 'resnet18', choices: {}, runs: IMAGES, deviation: [0.1, 10] },
  { name: 'resnet50', choices: {}, runs: IMAGES, deviation: [0.1, 100] },
  { name: 'resnet20', choices: {}, runs: IMAGES, deviation: [0.1, 10] },
  { name: 'resnet50', choices: { in: [1, 65, 40], width: 16 }, runs: IMAGES, deviation: [0.1, 10] },
  { name: 'mobilenetv2', choices: {}, runs: IMAGES, deviation: [0.001, 1] },
  { name: 'mobilenetv2', choices: { width: 0.35 }, runs: IMAGES, deviation: [0.001, 1] },
  { name: 'vit', choices: { layers: 2 }, runs: IMAGES, deviation: [0.1, 2] },
  {
    name: 'vit',
    choices: {
      in: [1, 28, 42],
      patch: 7,
      hidden: [48],
      heads: 3,
      layers: 2,
      mlpDim: 96,
      classes: 7,
    },
    runs: IMAGES,
    deviation: [0.01, 2],
  },
  {
    name: 'transformer',
    choices: SMALL_TRANSFORMER,
    runs: [
      { batch: 1, source: 5, target: 7 },
      { batch: 3, source: 32, target: 4 },
    ],
    deviation: [0.01, 1.5],
  },
  { name: 'bert', choices: SMALL_TRANSFORMER, runs: TEXTS, deviation: [0.05, 1.5] },
  {
    name: 'bert',
    choices: { ...SMALL_TRANSFORMER, head: 'mlm' },
    runs: TEXTS,
    deviation: [0.01, 1.5],
  },
  {
    name: 'bert',
    choices: { ...SMALL_TRANSFORMER, classes: 3 },
    runs: TEXTS,
    deviation: [0.001, 1.5],
  },
  { name: 'gpt', choices: SMALL_TRANSFORMER, runs: TEXTS, deviation: [0.05, 2] },
  { name: 'lstm', choices: {}, runs: TEXTS, deviation: [0.005, 1] },
  { name: 'lstm', choices: { bidirectional: true }, runs: TEXTS, deviation: [0.005, 1] },
  {
    name: 'lstm',
    choices: { vocab: 50, head: 'steps', layers: 1 },
    runs: TEXTS,
    deviation: [0.005, 1],
  },
  { name: 'lstm', choices: { vocab: 50, classes: 2 }, runs: TEXTS, deviation: [0.001, 1] },
];

/** Standard normal numbers for floats, ids for tokens, ones for masks. */
function feedsOf(model: Model, sizes: Readonly<Record<string, number>>, vocab: number) {
  const random = new Random(1);
  return new Map(
    model.graph.inputs.map(({ name, dtype, shape }) => {
      const dims = (shape ?? []).map((d) => (typeof d === 'number' ? d : (sizes[d.key] ?? 0)));
      const count = dims.reduce((a, b) => a * b, 1);
      const draw = () => {
        if (dtype === 'float32') return random.normal();
        return name === 'input_ids' ? random.integer(vocab) : name === 'attention_mask' ? 1 : 0;
      };
      return [name, Tensor.of(dtype ?? 'float32', dims, Array.from({ length: count }, draw))];
    }),
  );
}

function deviationOf(tensor: Tensor): number {
  const values = tensor.numbers();
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
}

describe('every architecture runs at any batch and length', () => {
  it.each(CASES)('$name $choices', async ({ name, choices, runs, deviation }) => {
    const model = build(name, choices);
    expect(checkModel(model)).toEqual([]);
    const session = await loadModel(model);
    try {
      for (const sizes of runs) {
        const outputs = await session.run(feedsOf(model, sizes, choices.vocab ?? 100));
        for (const { name: output, shape } of model.graph.outputs) {
          const tensor = outputs.get(output);
          if (!tensor) throw new Error(`no output ${output}`);
          const expected = shape?.map((d) => (typeof d === 'number' ? d : sizes[d.key]));
          expect(tensor.shape).toEqual(expected);
          const spread = deviationOf(tensor);
          expect(spread).toBeGreaterThan(deviation[0]);
          expect(spread).toBeLessThan(deviation[1]);
        }
      }
    } finally {
      await session.dispose();
    }
  });

  it.each(CASES)('$name $choices: what is inferred agrees with what is declared', (test) => {
    const model = build(test.name, test.choices);
    const declared = model.graph.outputs.map((value) => value.shape ?? []);
    for (const value of model.graph.outputs) value.type = undefined;
    expect(inferTypes(model)).toEqual([]);
    model.graph.outputs.forEach((value, i) => {
      const shape = `${value.shape}`;
      expect({ shape, same: sameShape(value.shape ?? [], declared[i] ?? []) }).toEqual({
        shape,
        same: true,
      });
    });
  });

  it('has a case for each', () => {
    expect(
      architectures.map((a) => a.name).filter((n) => !CASES.some((c) => c.name === n)),
    ).toEqual([]);
  });
});

describe('dropout', () => {
  const rate = { dropout: 0.3 };

  it.each([
    ['bert', { ...SMALL_TRANSFORMER, classes: 3 }, 6],
    ['bert', { ...SMALL_TRANSFORMER, head: 'mlm' }, 5],
    ['gpt', SMALL_TRANSFORMER, 5],
    ['transformer', SMALL_TRANSFORMER, 12],
  ] as const)(
    'of %s %j stands in %i places, and does nothing in use',
    async (name, choices, places) => {
      const [plain, dropping] = [build(name, choices), build(name, { ...choices, ...rate })];
      const dropped = [...dropping.graph.nodes].filter(({ op }) => op === 'Dropout');
      expect(dropped).toHaveLength(places);
      expect(modelCost(dropping).trainable).toBe(modelCost(plain).trainable);
      const feeds = feedsOf(plain, { batch: 2, seq: 7, source: 7, target: 5 }, 100);
      const [a, b] = await Promise.all(
        [plain, dropping].map(async (model) => {
          const session = await loadModel(model);
          const [output] = (await session.run(feeds)).values();
          await session.dispose();
          return output?.numbers();
        }),
      );
      expect(b).toEqual(a);
    },
  );

  it.each([-0.1, 1])('is a share: not %d', (dropout) => {
    expect(() => build('bert', { dropout })).toThrow('is not a value for --dropout');
  });
});

describe('masks', () => {
  const ids = (values: number[]) => Tensor.of('int64', [1, values.length], values);

  it('keeps later tokens from a decoder', async () => {
    const session = await loadModel(build('gpt', SMALL_TRANSFORMER));
    const logits = async (values: number[]) =>
      (await session.run(new Map([['input_ids', ids(values)]]))).get('logits')?.numbers() ?? [];
    const [a, b] = [await logits([5, 6, 7, 8]), await logits([5, 6, 9, 9])];
    await session.dispose();
    expect(a.slice(0, 200)).toEqual(b.slice(0, 200));
    expect(a.slice(200)).not.toEqual(b.slice(200));
  });

  it('keeps padding from an encoder', async () => {
    const session = await loadModel(build('bert', SMALL_TRANSFORMER));
    const pooled = async (values: number[], mask: number[]) => {
      const feeds = new Map([
        ['input_ids', ids(values)],
        ['attention_mask', ids(mask)],
        ['token_type_ids', ids(values.map(() => 0))],
      ]);
      return (await session.run(feeds)).get('pooler_output')?.numbers() ?? [];
    };
    const full = await pooled([5, 6, 7], [1, 1, 1]);
    const padded = await pooled([5, 6, 7, 9, 9], [1, 1, 1, 0, 0]);
    const unmasked = await pooled([5, 6, 7, 9, 9], [1, 1, 1, 1, 1]);
    await session.dispose();
    expect(padded).toHaveLength(64);
    padded.forEach((value, i) => {
      expect(value).toBeCloseTo(full[i] ?? NaN, 5);
    });
    expect(unmasked).not.toEqual(full);
  });
});

describe('weights', () => {
  const hashes = async (model: Model) => {
    const all: string[] = [];
    for (const { name, data } of model.graph.initializers) {
      if (data) all.push(`${name} ${await contentKey(data)}`);
    }
    return all;
  };

  it('are the same for the same seed, others for another', async () => {
    const first = await hashes(build('mlp', {}, 3));
    expect(await hashes(build('mlp', {}, 3))).toEqual(first);
    const weights = first.filter((line) => line.includes('weight'));
    expect(weights.length).toBe(3);
    const other = await hashes(build('mlp', {}, 4));
    expect(weights.filter((line) => other.includes(line))).toEqual([]);
  });

  it('do not depend on other weights', async () => {
    const wide = await hashes(build('mlp', { hidden: [256, 128] }));
    const narrow = await hashes(build('mlp', { hidden: [256] }));
    expect(narrow.filter((line) => line.startsWith('layers.0.'))).toEqual(
      wide.filter((line) => line.startsWith('layers.0.')),
    );
  });

  it('are drawn only when somebody asks', () => {
    // GPT-3: 175 billion parameters, which would take 700 GB and hours.
    const model = build('gpt', { hidden: [12288], layers: 96, heads: 96, seq: 2048 });
    expect(modelCost(model).trainable / 175e9).toBeCloseTo(1, 2);
  });

  it.each([
    // Kaiming over outgoing connections: sqrt(2 / (64 * 9)).
    ['resnet18', 'layer1.0.conv1.weight', 0.05893],
    // sqrt(2 / 784).
    ['mlp', 'layers.0.weight', 0.05051],
    // 0.02 / sqrt(2 * 12).
    ['gpt', 'transformer.h.3.mlp.c_proj.weight', 0.004082],
    // A normal distribution cut at two deviations keeps 0.8796 of its deviation.
    ['bert', 'encoder.layer.3.output.dense.weight', 0.01759],
    // Uniform over +-1/sqrt(128).
    ['lstm', 'lstm.1.weight_hh', 0.05103],
  ])('%s: %s has deviation %d', async (name, weight, expected) => {
    const value = [...build(name).graph.initializers].find((v) => v.name === weight);
    if (!value?.data) throw new Error(`no ${weight}`);
    const bytes = await value.data.load();
    const deviation = deviationOf(Tensor.fromBytes('float32', value.data.shape, bytes));
    expect(Math.abs(deviation / expected - 1)).toBeLessThan(0.01);
  });
});

describe('wrong use', () => {
  it.each([
    ['resnet50', { heads: 4 }, 'resnet50 has no --heads'],
    ['mlp', { mlpDim: 4 }, 'mlp has no --mlp-dim'],
    ['vit', { patch: 17 }, 'patches of 17 do not tile an image of 224 x 224'],
    ['bert', { heads: 5 }, 'a hidden size of 768 cannot be shared by 5 heads'],
    ['cnn', { in: [784] }, '"784" is not a value for --in'],
    ['cnn', { layers: 6 }, '6 layers halve 28 x 28 to nothing'],
    ['gpt', { layers: 0 }, '"0" is not a value for --layers'],
    ['bert', { head: 'ner' }, '"ner" is not a value for --head'],
    ['vit', { hidden: [64, 64] }, '"64,64" is not a value for --hidden'],
  ])('%s %j: %s', (name, choices, message) => {
    expect(() => build(name, choices)).toThrow(message);
  });

  it('names the nearest architecture', () => {
    expect(() => architectureNamed('resnet5')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('Did you mean "resnet50"?') }),
    );
  });
});
