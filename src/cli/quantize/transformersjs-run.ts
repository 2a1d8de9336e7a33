// `xform quantize MODEL --preset transformersjs -o OUT`, for one model or a folder with several
// (encoder_model.onnx, decoder_model_merged.onnx …): from flags to the report.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { inputSpecs } from '../../data/inputs.ts';
import { openDataset } from '../../data/open.ts';
import type { DataOptions } from '../../data/options.ts';
import { noModelsIn } from '../../errors/web.ts';
import type { Model } from '../../graph/index.ts';
import type { Runner } from '../../passes/pass.ts';
import { SUFFIXES } from '../../passes/quantize/transformersjs.ts';
import type { ModelSummary, Outcome } from '../../report/report.ts';
import type { Reporter } from '../../report/reporter.ts';
import { packageRoot } from '../../runtime/location.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { webRuntimes } from '../../runtime/web/index.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { checkSamples } from '../check-samples.ts';
import { readSound, summarize } from '../models.ts';
import { prepareFloat } from '../prepare-float.ts';
import { setSizes } from '../sizes.ts';
import { makeTransformersJs, type PresetDeps, type Variant } from './transformersjs.ts';
import {
  presetBlocks,
  presetMetrics,
  presetUnmet,
  presetWarnings,
} from './transformersjs-report.ts';

export interface PresetOptions extends DataOptions {
  /** Path or `random`; left out: random. */
  readonly data?: string | undefined;
  readonly batch?: number | undefined;
  readonly externalData?: boolean | undefined;
  readonly sizes: ReadonlyMap<string, number>;
  readonly run: Runner;
  readonly session: SessionOptions;
  readonly reporter: Reporter;
  /** Quantises a copy of a model, for the target `web-wasm`. */
  readonly quantize: PresetDeps['quantize'];
}

/** The whole command. `path` is a model or a folder with models. */
export async function runTransformersJs(
  path: string,
  outFolder: string | undefined,
  options: PresetOptions,
): Promise<Outcome> {
  const paths = modelsAt(path);
  const { reporter } = options;
  // CHROME_PATH is what other tools that start a browser read, too.
  const browser = process.env['CHROME_PATH'];
  const web = await webRuntimes({ folders: [process.cwd(), packageRoot()], browser });
  const sets: Variant[][] = [];
  const inputs: ModelSummary[] = [];
  try {
    for (const one of paths) {
      const original = readSound(one);
      setSizes(original, options.sizes);
      inputs.push(summarize(original, one));
      const float = await prepareFloat(original, options.run, options, reporter);
      const feeds = await oneBatch(original, options);
      const { session, quantize, externalData } = options;
      const deps = { float, quantize, feeds, session, web, reporter, externalData };
      sets.push(await makeTransformersJs(one, outFolder ?? besides(path), deps));
    }
  } finally {
    await web.close();
  }
  const unmet = sets.map(presetUnmet).find((error) => error !== undefined);
  const steps = web.unavailable.map(({ name, reason, hint }) => ({ runtime: name, reason, hint }));
  return {
    input: inputs.length === 1 && inputs[0] ? inputs[0] : inputs,
    metrics: presetMetrics(sets.flat()),
    steps,
    warnings: presetWarnings(sets.flat()),
    blocks: presetBlocks(sets, web),
    ...(unmet ? { unmet } : {}),
  };
}

/** The float models of a folder, or the one model. */
function modelsAt(path: string): string[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [path];
  const suffixes = Object.values(SUFFIXES).filter((suffix) => suffix !== '');
  const names = readdirSync(path).filter(
    (name) => name.endsWith('.onnx') && !suffixes.some((suffix) => name.endsWith(`${suffix}.onnx`)),
  );
  if (names.length === 0) throw noModelsIn(path);
  return names.sort().map((name) => join(path, name));
}

/** Beside the model; models in a folder `onnx` stay in it. */
function besides(path: string): string {
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  const folder = isFolder ? path : dirname(path);
  return basename(folder) === 'onnx' ? dirname(folder) : folder;
}

async function oneBatch(model: Model, options: PresetOptions): Promise<Feeds> {
  const { data, batch, seed } = options;
  if (data === undefined || data === 'random') {
    return checkSamples(model, seed, batch).at(-1) ?? new Map();
  }
  const dataset = await openDataset(data, inputSpecs(model), options);
  for await (const { feeds } of dataset.batches(batch ?? 1)) return feeds;
  return new Map();
}
