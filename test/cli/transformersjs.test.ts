// The set of files for transformers.js: what is written, under which names, and that it loads.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { architectureNamed } from '../../src/archs/index.ts';
import { checkSamples } from '../../src/cli/check-samples.ts';
import { makeQuantizer } from '../../src/cli/quantize/quantizer.ts';
import {
  type Made,
  makeTransformersJs,
  type PresetDeps,
  type Variant,
} from '../../src/cli/quantize/transformersjs.ts';
import {
  presetBlocks,
  presetMetrics,
  presetUnmet,
  presetWarnings,
} from '../../src/cli/quantize/transformersjs-report.ts';
import type { Model } from '../../src/graph/index.ts';
import { dataFilesOf, readModel, writeModel } from '../../src/onnx/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import type { Precision } from '../../src/passes/quantize/context.ts';
import type { Settings } from '../../src/passes/quantize/settings.ts';
import { stepsOf, type WebDType } from '../../src/passes/quantize/transformersjs.ts';
import { renderText } from '../../src/report/render.ts';
import { Reporter } from '../../src/report/reporter.ts';
import { createRunner } from '../../src/runtime/runner.ts';
import { type WebRuntimes, webRuntimes } from '../../src/runtime/web/index.ts';
import { resolveTarget } from '../../src/targets/target.ts';
import { parseModel } from '../helpers/parse.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-test-'));
let web: WebRuntimes;
beforeAll(async () => {
  web = await webRuntimes({ names: ['wasm (node)', 'wasm (chromium)'] });
  for (const { name, reason, hint } of web.unavailable) {
    console.log(`skipped: ${name}: ${reason}. ${hint}`);
  }
});
afterAll(async () => {
  await web.close();
  rmSync(folder, { recursive: true });
});

const run = createRunner();
const reporter = new Reporter({
  quiet: true,
  verbose: false,
  color: false,
  stream: process.stderr,
});

/** As the command quantises for browsers. */
async function quantize(
  float: Model,
  settings: Settings,
  layers: ReadonlyMap<string, Precision>,
): Promise<Made> {
  const target = resolveTarget('web-wasm', {
    architecture: 'x64',
    instructionSets: [],
    hasCuda: false,
  });
  const base = { skip: [], only: [], run, target, seed: 0, calibration: undefined };
  const quantizer = await makeQuantizer({ ...base, float, settings });
  return quantizer(layers);
}

interface SetOptions extends Partial<PresetDeps> {
  readonly dtypes: readonly WebDType[];
}

/** Tried in Node alone, unless told otherwise: a browser takes its time. */
async function setOf(model: Model, path: string, options: SetOptions): Promise<Variant[]> {
  inferTypes(model);
  const feeds = checkSamples(model, 0).at(-1) ?? new Map();
  const runners = web.runners.filter(({ name }) => name === 'wasm (node)');
  const inNode = { ...web, runners, unavailable: [] };
  const deps = {
    float: model,
    quantize,
    feeds,
    session: {},
    web: inNode,
    reporter,
    budgetMs: 20,
    ...options,
  };
  return makeTransformersJs(path, folder, deps);
}

describe('stepsOf', () => {
  const plain = parseModel(
    'g (float[2, 2] x) => (y) <float[2, 2] w = random> { y = MatMul(x, w) }',
  );
  const conv = parseModel(
    'g (float[1, 1, 4, 4] x) => (y) <float[1, 1, 3, 3] w = random> { y = Conv(x, w) }',
  );
  const decoder = parseModel(
    'g (float[2, 2] past_key) => (y) <float[2, 2] w = random> { y = MatMul(past_key, w) }',
  );

  it.each([
    ['q8', plain, 'int8', true],
    ['q8', conv, 'uint8', false],
    ['int8', conv, 'int8', true],
    ['uint8', plain, 'uint8', false],
    ['q8', decoder, 'int8', false],
  ] as const)('%s', (dtype, model, weights, reduceRange) => {
    expect(stepsOf(dtype, model)).toMatchObject([{ mode: 'dynamic', weights, reduceRange }]);
  });

  it('makes q4f16 of q4, and keeps inputs and outputs float32', () => {
    expect(stepsOf('q4f16', plain)).toMatchObject([
      { mode: 'weights', bits: 4, block: 32, symmetric: true, format: 'nbits' },
      { mode: 'fp16', keepIo: true },
    ]);
    expect(stepsOf('bnb4', plain)).toMatchObject([{ mode: 'weights', format: 'bnb4', block: 64 }]);
  });
});

describe('makeTransformersJs', () => {
  it('writes what works under the names the library looks for, and leaves nothing else', async () => {
    const variants = await setOf(
      architectureNamed('gpt').build(
        { vocab: 65, hidden: [64], layers: 2, heads: 2, mlpDim: 128, seq: 32 } as never,
        0,
      ),
      'decoder_model_merged.onnx',
      { dtypes: ['fp32', 'bnb4'], web },
    );
    const files = ['decoder_model_merged.onnx', 'decoder_model_merged_bnb4.onnx'];
    expect(readdirSync(join(folder, 'onnx')).sort()).toEqual(files);
    for (const { isWritten, trials, path } of variants) {
      expect([isWritten, existsSync(path)]).toEqual([true, true]);
      const states = trials.map(({ runtime, status }) => [runtime, status]);
      expect(states[0]).toEqual(['onnxruntime-node', 'ok']);
      expect(states[1]).toEqual(['wasm (node)', 'ok']);
    }
    const [float, small] = variants;
    for (const trial of float?.trials ?? []) {
      if (trial.status === 'ok') expect(trial.similarity?.cosine).toBeCloseTo(1, 5);
    }
    for (const trial of small?.trials ?? []) {
      if (trial.status === 'ok') expect(trial.similarity?.cosine).toBeGreaterThan(0.95);
    }
    expect(small?.bytes).toBeLessThan((float?.bytes ?? 0) / 2);
    expect(presetUnmet(variants)).toBeUndefined();
    const text = renderText(presetBlocks([variants], web), false);
    expect(text).toContain('decoder_model_merged_bnb4.onnx');
    expect(Object.keys(presetMetrics(variants))).toEqual(files);
  });

  it.each([
    ['bert', ['fp32', 'q4f16']],
    ['digits-transformer', ['fp32', 'q8']],
    ['digits', ['fp32', 'q8']],
  ] as const)('makes the files of %s similar to it, and smaller', async (name, dtypes) => {
    const sizes = {
      vocab: 90,
      hidden: [64],
      layers: 1,
      heads: 2,
      mlpDim: 128,
      seq: 32,
      head: 'mlm',
    };
    const model =
      name === 'bert'
        ? architectureNamed(name).build(sizes as never, 0)
        : readModel(join('fixtures', `${name}.onnx`));
    const variants = await setOf(model, `${name}.onnx`, { dtypes });
    expect(variants.map(({ reason }) => reason)).toEqual(dtypes.map(() => undefined));
    const sizesInBytes = variants.map(({ bytes }) => bytes);
    expect(sizesInBytes).toEqual([...sizesInBytes].sort((x, y) => y - x));
    for (const { dtype, path, trials } of variants) {
      const least = { fp32: 0.99999, fp16: 0.9999 }[dtype as string] ?? 0.97;
      for (const { status, similarity } of trials) {
        expect([dtype, status]).toEqual([dtype, 'ok']);
        expect(similarity?.cosine).toBeGreaterThan(least);
      }
      const { inputs, outputs } = readModel(path).graph;
      const types = [...inputs, ...outputs].map(({ dtype }) => dtype);
      expect(types).not.toContain('float16');
    }
  });

  it('does not leave a file that does not load, and says which runtime refuses it', async () => {
    const model = parseModel(
      'g (float[2, 4] x) => (float[2, 3] y) <float[4, 3] w = random> { y = MatMul(x, w) }',
    );
    const variants = await setOf(model, 'broken.onnx', {
      dtypes: ['fp32', 'bnb4'],
      quantize: async (float) => {
        const copy = float.clone();
        for (const node of [...copy.graph.nodes]) node.setInput(1, node.input(0));
        return { model: copy, decisions: [{ op: 'MatMul', precision: 'int4' }] };
      },
    });
    expect(variants.map(({ isWritten }) => isWritten)).toEqual([true, false]);
    expect(variants[1]?.reason).toMatch(/^onnxruntime-node: onnxruntime cannot load the model/);
    expect(existsSync(join(folder, 'onnx', 'broken_bnb4.onnx'))).toBe(false);
    expect(presetWarnings(variants)).toMatchObject([
      { code: 'variant-not-written', where: 'broken_bnb4.onnx' },
    ]);
    expect(presetUnmet(variants)?.code).toBe('nothing-quantized');
  });

  it('gives the reason where nothing can be quantised, and never touches its own input', async () => {
    const path = join(folder, 'onnx', 'plain.onnx');
    await writeModel(parseModel('g (float[2, 4] x) => (float[2, 4] y) { y = Neg(x) }'), path);
    const before = readFileSync(path);
    const variants = await setOf(readModel(path), path, { dtypes: ['fp32', 'bnb4'] });
    expect(variants[1]?.reason).toBe('it has no layer that can be quantised');
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(join(folder, 'onnx')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('writes data files as the library looks for them, and says so', async () => {
    const model = parseModel(
      'g (float[2, 64] x) => (float[2, 64] y) <float[64, 64] w = random> { y = MatMul(x, w) }',
    );
    const variants = await setOf(model, 'large.onnx', {
      dtypes: ['fp32', 'bnb4'],
      externalData: true,
    });
    const names = ['large.onnx', 'large.onnx_data', 'large_bnb4.onnx', 'large_bnb4.onnx_data'];
    const written = readdirSync(join(folder, 'onnx')).filter((name) => name.startsWith('large'));
    expect(written.sort()).toEqual(names);
    for (const { path, trials } of variants) {
      expect([...dataFilesOf(path)]).toEqual([`${basename(path)}_data`]);
      expect(trials.filter(({ status }) => status === 'failed')).toEqual([]);
    }
    expect(renderText(presetBlocks([variants], web), false)).toContain(
      '{"transformers.js_config":{"use_external_data_format":{"large.onnx":1,"large_bnb4.onnx":1}}}',
    );
  });
});
