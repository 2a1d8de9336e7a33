// Students made from their teachers: which layers stay, that what stays computes what the teacher
// computes without the rest, and what the command says.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { architectureNamed, type Choices } from '../../src/archs/index.ts';
import { type ShrinkAsked, shrinker } from '../../src/cli/shrink/model.ts';
import { checkModel, type Model } from '../../src/graph/index.ts';
import { decodeModel, encodeModel, readModel } from '../../src/onnx/index.ts';
import { evenly } from '../../src/passes/prune/depth.ts';
import { Reporter } from '../../src/report/reporter.ts';
import { compareTensors } from '../../src/tensor/compare.ts';
import type { Feeds } from '../../src/tensor/feeds.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { xform } from '../helpers/cli.ts';
import { parseModel } from '../helpers/parse.ts';
import { randomFeeds } from '../helpers/rewriting.ts';
import { sharedPath } from '../helpers/shared.ts';
import { elementCount, run } from '../passes/prune/exactness.ts';
import { masked } from '../passes/prune/masked.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-shrink-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const HALF: ShrinkAsked = {
  depth: 0.5,
  width: 0.5,
  methods: ['channel', 'head', 'neuron', 'hidden'],
  criterion: 'l2',
  roundTo: 1,
  skip: [],
  seed: 0,
};
const reporter = new Reporter({
  quiet: true,
  verbose: false,
  color: false,
  stream: process.stderr,
});
const shrink = (model: Model, asked: Partial<ShrinkAsked> = {}) =>
  shrinker({ ...HALF, ...asked }, { run, session: {}, reporter, data: undefined })(model);

/** As a file holds it. */
const architecture = async (name: string, choices: Partial<Choices>) =>
  decodeModel(await encodeModel(architectureNamed(name).build(choices, 0)));

function expectEqual(found: Feeds, expected: Feeds): void {
  for (const [name, tensor] of expected) {
    const other = found.get(name) as Tensor;
    expect([name, other.shape]).toEqual([name, tensor.shape]);
    const { problem, relNorm } = compareTensors(tensor, other, { rtol: 0, atol: 0 });
    expect([name, problem, relNorm < 1e-4]).toEqual([name, undefined, true]);
  }
}

const small = { hidden: [32], layers: 4, heads: 4 };

describe('half the depth, half the width', () => {
  it.each<[string, Partial<Choices>, number]>([
    ['resnet18', { in: [3, 32, 32], width: 8 }, 2],
    ['resnet50', { in: [3, 32, 32], width: 8 }, 6],
    ['mobilenetv2', { in: [3, 32, 32] }, 5],
    ['vit', { ...small, mlpDim: 64, in: [3, 32, 32], patch: 8 }, 2],
    ['bert', { ...small, vocab: 50, mlpDim: 64 }, 2],
    ['gpt', { ...small, vocab: 50 }, 2],
    ['mlp', {}, 0],
    ['cnn', {}, 0],
    ['lstm', {}, 0],
  ])('%s', async (name, choices, dropped) => {
    const teacher = await architecture(name, choices);
    const student = await shrink(teacher);
    expect(student.dropped.length).toBe(dropped);
    expect(checkModel(student.model)).toEqual([]);
    expect(elementCount(student.model)).toBeLessThan(0.6 * elementCount(teacher));
    const feeds = randomFeeds(teacher, { batch: 2, seq: 7 });
    const [before, after] = [await run(teacher, feeds), await run(student.model, feeds)];
    const shapes = (results: Feeds) => [...results].map(([key, { shape }]) => [key, shape]);
    expect(shapes(after)).toEqual(shapes(before));
  });

  it('outputs whose sizes have other names, or are known in one of the two', async () => {
    const teacher = parseModel(`
g (float[n, 3, 8, 8] x) => (float[m, 10] y)
<float[8, 3, 3, 3] a = random, float[10, 288] b = random>
{
  c = Conv <kernel_shape = [3, 3]> (x, a)
  r = Relu(c)
  f = Flatten(r)
  y = Gemm <transB = 1> (f, b)
}`);
    const student = await shrink(teacher, { depth: 1 });
    expect(elementCount(student.model)).toBeLessThan(0.6 * elementCount(teacher));
  });

  it('a residual network from elsewhere', async () => {
    const path = sharedPath('models', 'cifar10_resnet_4b.onnx');
    if (!path) return;
    const teacher = readModel(path);
    const student = await shrink(teacher);
    expect(student.dropped.length).toBe(1);
    const feeds = randomFeeds(teacher, {});
    expect([...(await run(student.model, feeds)).keys()]).toEqual([
      ...(await run(teacher, feeds)).keys(),
    ]);
  });
});

describe('depth', () => {
  it('is even, from the first to the last', () => {
    expect(evenly(12, 6)).toEqual([0, 2, 4, 7, 9, 11]);
    expect(evenly(5, 3)).toEqual([0, 2, 4]);
    expect(evenly(4, 2)).toEqual([0, 3]);
    expect(evenly(3, 1)).toEqual([0]);
    expect(evenly(2, 2)).toEqual([0, 1]);
  });

  it.each<[string, Partial<Choices>, RegExp]>([
    ['resnet18', { in: [3, 32, 32], width: 8 }, /^(layer1\.1|layer3\.1)\.bn2\.(weight|bias)$/],
    ['gpt', { ...small, vocab: 50 }, /^transformer\.h\.[12]\..*(c_proj)\.(weight|bias)$/],
  ])('%s computes what the teacher does where the others add nothing', async (name, choices, p) => {
    const teacher = await architecture(name, choices);
    let silenced = 0;
    for (const value of teacher.graph.initializers) {
      if (!p.test(value.name) || !value.data) continue;
      const { shape, size } = value.data;
      teacher.graph.setData(value, Tensor.of('float32', shape, new Float32Array(size)));
      silenced++;
    }
    expect(silenced).toBeGreaterThan(3);
    const student = await shrink(teacher, { width: 1 });
    expect(student.dropped.length).toBe(2);
    const left = [...student.model.graph.initializers].filter(({ name: own }) => p.test(own));
    expect(left).toEqual([]);
    const feeds = randomFeeds(teacher, { batch: 2, seq: 7 });
    expectEqual(await run(student.model, feeds), await run(teacher, feeds));
  });

  it('stays where there is nothing to leave out, and is refused where nothing else was asked', async () => {
    const teacher = await architecture('mlp', {});
    await expect(shrink(teacher, { width: 1 })).rejects.toThrow(/no residual layers/);
  });

  it('takes attention and feed-forward together, and the norm behind them', async () => {
    const teacher = await architecture('bert', { ...small, vocab: 50, mlpDim: 64 });
    const { model, kept } = await shrink(teacher, { width: 1 });
    expect(kept.map((layer) => layer.match(/encoder\.layer\.\d/g)?.join(' '))).toEqual([
      'encoder.layer.0 encoder.layer.0',
      'encoder.layer.3 encoder.layer.3',
    ]);
    const names = [...model.graph.initializers].map(({ name }) => name);
    expect(names.filter((name) => /encoder\.layer\.[12]\./.test(name))).toEqual([]);
  });
});

describe('width', () => {
  it.each<[string, Partial<Choices>]>([
    ['resnet18', { in: [3, 32, 32], width: 8 }],
    ['cnn', {}],
    ['lstm', {}],
  ])('%s computes what the teacher does with these channels at zero', async (name, choices) => {
    const teacher = await architecture(name, choices);
    const student = await shrink(teacher, { depth: 1 });
    const feeds = randomFeeds(teacher, { batch: 2, seq: 7 });
    const zeroed = masked(teacher, student.choices ?? []);
    expect(student.choices?.length).toBeGreaterThan(0);
    expectEqual(await run(student.model, feeds), await run(zeroed, feeds));
  });
});

describe('xform shrink', () => {
  it('writes a student beside its teacher, from data', async () => {
    const data = ['--data', 'fixtures/digits-train.npz', '--samples', '64', '--batch', '16'];
    const flags = ['--depth', '0.5', '--width', '0.5', '--no-bench', '--json', ...data];
    const made = await xform([
      'shrink',
      'fixtures/digits-transformer.onnx',
      ...['-o', at('student.onnx')],
      ...flags,
    ]);
    expect(made.stderr).not.toMatch(/error/);
    expect(made.code).toBe(0);
    const { metrics } = JSON.parse(made.stdout) as {
      metrics: { params_ratio: number; flops_ratio: number; dropped: string[] };
    };
    expect(metrics.dropped.length).toBeGreaterThan(0);
    expect(metrics.params_ratio).toBeLessThan(0.6);
    expect(metrics.flops_ratio).toBeLessThan(0.6);
    expect(checkModel(readModel(at('student.onnx')))).toEqual([]);
  }, 60_000);

  it.each([
    ['a depth where there are no layers', ['--depth', '0.5'], 3, /keeps all/],
    ['nothing', [], 2, /--depth 0\.5/],
    ['a share of nothing', ['--width', '0'], 2, /"0"/],
    ['a method that sets single weights to zero', ['--method', 'wanda'], 2, /wanda|smaller/],
  ] as const)(
    'refuses %s',
    async (_, flags, code, message) => {
      const path = at('no.onnx');
      const made = await xform(['shrink', 'fixtures/digits.onnx', '-o', path, ...flags]);
      expect(made.stderr).toMatch(message);
      expect(made.code).toBe(code);
      expect(existsSync(path)).toBe(false);
    },
    30_000,
  );
});
