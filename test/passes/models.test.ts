// Fusions on whole models: the architectures of `init` and real models. Which operators are left, and
// equal results.

import { describe, expect, it } from '@jest/globals';
import { architectureNamed, type Choices } from '../../src/archs/index.ts';
import { checkModel, graphsOf, type Model } from '../../src/graph/index.ts';
import { decodeModel, encodeModel, readModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { passes } from '../../src/passes/index.ts';
import type { Level } from '../../src/passes/pass.ts';
import { applyPasses, compareModels, randomFeeds } from '../helpers/rewriting.ts';
import { sharedPath } from '../helpers/shared.ts';

function count(model: Model): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const graph of graphsOf(model.graph)) {
    for (const { op, domain } of graph.nodes) {
      const name = domain ? `ms.${op}` : op;
      counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  return counts;
}

/** Applies every pass of a level and compares; returns the operators before and after. */
async function optimize(model: Model, level: Level, sizes: Record<string, number> = {}) {
  inferTypes(model);
  const copy = model.clone();
  const names = passes
    .filter((pass) => !pass.onDemand && (level === 'extended' || pass.level === 'basic'))
    .map((pass) => pass.name);
  await applyPasses(copy, names, level);
  expect(checkModel(copy)).toEqual([]);
  await compareModels(model, copy, randomFeeds(model, sizes));
  return { before: count(model), after: count(copy) };
}

/** As a file holds it: new weights exist only once they are written. */
async function architecture(name: string, choices: Partial<Choices>): Promise<Model> {
  return decodeModel(await encodeModel(architectureNamed(name).build(choices, 0)));
}

const total = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0);

describe('architectures', () => {
  const small = { hidden: [32], layers: 2, heads: 4 };

  it.each<[string, Partial<Choices>, Record<string, number>]>([
    ['bert', { ...small, vocab: 50, mlpDim: 64 }, { 'ms.MultiHeadAttention': 2 }],
    ['gpt', { ...small, vocab: 50 }, { 'ms.MultiHeadAttention': 2 }],
    ['vit', { ...small, mlpDim: 64, in: [3, 32, 32], patch: 8 }, { 'ms.MultiHeadAttention': 2 }],
  ])('%s at level extended', async (name, choices, expected) => {
    const model = await architecture(name, choices);
    const { before, after } = await optimize(model, 'extended', { batch: 2, seq: 7 });
    expect(before['Softmax']).toBe(2);
    expect(after['Softmax']).toBeUndefined();
    expect(after).toMatchObject(expected);
    expect(total(after)).toBeLessThan(total(before));
  });

  it.each<[string, Partial<Choices>]>([
    ['resnet18', { in: [3, 32, 32], width: 8 }],
    ['mobilenetv2', { in: [3, 32, 32] }],
  ])('%s keeps no BatchNormalization', async (name, choices) => {
    const model = await architecture(name, choices);
    const { before, after } = await optimize(model, 'basic', { batch: 2 });
    expect(before['BatchNormalization']).toBeGreaterThan(10);
    expect(after['BatchNormalization']).toBeUndefined();
  });
});

describe('real models', () => {
  it.each<[string, Level, Record<string, number | undefined>]>([
    ['cgan32_3', 'basic', { BatchNormalization: 4 }],
    ['fastestdet', 'basic', { Transpose: 2, Pad: undefined }],
    ['gtcrn_simple', 'basic', { BatchNormalization: undefined }],
    ['tinyyolo_vnn', 'basic', { Pad: undefined }],
    ['yolox_nano', 'extended', { Sigmoid: 6, 'ms.QuickGelu': 104, Slice: 4 }],
    ['ppocr_cls', 'basic', { BatchNormalization: undefined, Clip: undefined }],
    ['vit_pgd_2_3_16', 'extended', { Softmax: undefined, 'ms.MultiHeadAttention': 2 }],
    ['ezkl_multihead_attention', 'extended', { LayerNormalization: 2, 'ms.MultiHeadAttention': 2 }],
    ['deeploy_cct2_opset20', 'extended', { 'ms.MultiHeadAttention': 2, Gelu: 2 }],
    ['marabou_cifar_small', 'basic', { Gemm: 3, MatMul: undefined }],
    ['microkws_m_qdq', 'basic', { QuantizeLinear: 16, DequantizeLinear: 28, MatMul: 3 }],
  ])('%s at level %s', async (name, level, expected) => {
    const path = sharedPath('models', `${name}.onnx`);
    if (!path) return;
    const { before, after } = await optimize(readModel(path), level);
    for (const [op, number] of Object.entries(expected))
      expect([op, after[op]]).toEqual([op, number]);
    expect(total(after)).toBeLessThanOrEqual(total(before));
  });
});
