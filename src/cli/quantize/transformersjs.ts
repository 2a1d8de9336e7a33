// `--preset transformersjs`: from one float model the set of files that the library transformers.js
// loads, in OUT/onnx, each of them tried in the runtimes it is for before it gets its name there.

import { existsSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Model } from '../../graph/index.ts';
import { writeModel } from '../../onnx/index.ts';
import type { Precision } from '../../passes/quantize/context.ts';
import type { Settings } from '../../passes/quantize/settings.ts';
import {
  layersOf,
  SUFFIXES,
  stepsOf,
  WEB_DTYPES,
  type WebDType,
} from '../../passes/quantize/transformersjs.ts';
import type { Reporter } from '../../report/reporter.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import { openSession } from '../../runtime/session.ts';
import type { WebRuntimes } from '../../runtime/web/index.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { type FloatModel, type Trial, tryInNode, tryInWeb } from './web-check.ts';

/** The precision of layers that are not to be what the mode makes of them by itself. */
type Layers = ReadonlyMap<string, Precision>;

/** What one step of quantisation made, and what it decided about each layer. */
export interface Made {
  readonly model: Model;
  readonly decisions: readonly {
    readonly op: string;
    readonly precision: Precision;
    readonly reason?: string | undefined;
  }[];
}

export interface PresetDeps {
  /** The model as quantisation starts from it: optimised, the same function. */
  readonly float: Model;
  /** A copy quantised by the settings; for a target that has no more than browsers have. */
  quantize(model: Model, settings: Settings, layers: Layers): Promise<Made>;
  /** What the files are tried on. */
  readonly feeds: Feeds;
  readonly session: SessionOptions;
  readonly web: WebRuntimes;
  readonly reporter: Reporter;
  /** Weights go to a second file at any size. */
  readonly externalData?: boolean | undefined;
  /** Milliseconds for the timing of one file in one runtime; default 1000. */
  readonly budgetMs?: number;
  /** Left out: all. */
  readonly dtypes?: readonly WebDType[];
}

const BUDGET_MS = 1000;

/** WebGPU has kernels for these; the others run on the processor, which is tried anyway. */
const FOR_GPUS: readonly WebDType[] = ['fp32', 'fp16', 'q4', 'q4f16'];

/** One file of the set, or why there is none. */
export interface Variant {
  readonly dtype: WebDType;
  /** Its path, written or not. */
  readonly path: string;
  readonly isWritten: boolean;
  /** Why it was not written. */
  readonly reason?: string | undefined;
  /** With its data file. */
  readonly bytes: number;
  /** A second file with the weights, in models of 2 GB and more. */
  readonly dataPath?: string | undefined;
  /** Layers by what they became. */
  readonly layers: Readonly<Record<string, number>>;
  readonly trials: readonly Trial[];
}

/** Writes the set for one model; the float model comes first. */
export async function makeTransformersJs(
  modelPath: string,
  outFolder: string,
  deps: PresetDeps,
): Promise<Variant[]> {
  const folder = join(outFolder, 'onnx');
  mkdirSync(folder, { recursive: true });
  const name = basename(modelPath).replace(/\.onnx$/i, '');
  const staging = join(folder, `.${name}.${process.pid}`);
  const clear = () => rmSync(staging, { recursive: true, force: true });
  process.once('exit', clear);
  mkdirSync(staging, { recursive: true });
  try {
    const set = new VariantSet({ modelPath, name, folder, staging }, deps);
    return await set.make(deps.dtypes ?? WEB_DTYPES);
  } finally {
    process.off('exit', clear);
    clear();
  }
}

interface Places {
  readonly modelPath: string;
  readonly name: string;
  readonly folder: string;
  /** Files on trial; on the same disk as the folder, so that they can be moved. */
  readonly staging: string;
}

interface Staged {
  readonly path: string;
  readonly bytes: number;
  readonly dataPath: string | undefined;
}

class VariantSet {
  readonly #places: Places;
  readonly #deps: PresetDeps;

  constructor(places: Places, deps: PresetDeps) {
    this.#places = places;
    this.#deps = deps;
  }

  async make(dtypes: readonly WebDType[]): Promise<Variant[]> {
    const { feeds, session, budgetMs = BUDGET_MS } = this.#deps;
    const staged = await this.#stage('fp32', this.#deps.float.clone());
    const opened = await openSession(staged.path, session);
    const outputs = await opened.run(feeds);
    await opened.dispose();
    const { path, bytes } = staged;
    const float: FloatModel = { path, bytes, feeds, outputs, budgetMs };
    const trials = await this.#tryAll('fp32', staged, float);
    const variants: Variant[] = [];
    for (const dtype of dtypes) {
      if (dtype === 'fp32') variants.push({ ...this.#about('fp32', staged), trials });
      else variants.push(await this.#variant(dtype, float, trials));
    }
    // The float model is needed until the end.
    if (dtypes.includes('fp32') && !this.#isInput('fp32')) await this.#publish(staged);
    return variants;
  }

  async #variant(dtype: WebDType, float: FloatModel, floatTrials: readonly Trial[]) {
    const { reporter } = this.#deps;
    const step = reporter.step(`making ${this.#file(dtype)}`);
    try {
      const { model, layers, reason } = await this.#quantize(dtype);
      if (reason) return this.#unwritten(dtype, reason, layers);
      const staged = await this.#stage(dtype, model);
      const trials = await this.#tryAll(dtype, staged, float);
      // What fails on a GPU alone still serves everybody else: that is a warning.
      const failed = trials.find(
        ({ status, runtime }) =>
          status === 'failed' && !runtime.startsWith('webgpu') && worksIn(floatTrials, runtime),
      );
      const about = { ...this.#about(dtype, staged), layers, trials };
      if (failed) {
        const why = `${failed.runtime}: ${failed.reason}`;
        return { ...about, isWritten: false, reason: why, dataPath: undefined };
      }
      await this.#publish(staged);
      return about;
    } catch (error) {
      // One file that cannot be made must not keep the others from being made.
      return this.#unwritten(dtype, error instanceof Error ? error.message : String(error), {});
    } finally {
      step.done();
    }
  }

  /** All steps; the reason where one of them found nothing to do. */
  async #quantize(dtype: WebDType) {
    let model = this.#deps.float;
    const layers: Record<string, number> = {};
    for (const settings of stepsOf(dtype, model)) {
      const made = await this.#deps.quantize(model, settings, layersOf(model, settings));
      model = made.model;
      for (const { precision } of made.decisions) {
        if (precision !== 'float') layers[precision] = (layers[precision] ?? 0) + 1;
      }
      if (made.decisions.every(({ precision }) => precision === 'float')) {
        return { model, layers, reason: whyNothing(made) };
      }
    }
    return { model, layers, reason: undefined };
  }

  async #stage(dtype: WebDType, model: Model): Promise<Staged> {
    const file = this.#file(dtype);
    const path = join(this.#places.staging, file);
    const { externalData = false } = this.#deps;
    const written = await writeModel(model, path, { externalData, dataName: `${file}_data` });
    const { bytes, dataBytes, dataPath } = written;
    return { path, bytes: bytes + dataBytes, dataPath };
  }

  async #tryAll(dtype: WebDType, { path, bytes }: Staged, float: FloatModel): Promise<Trial[]> {
    const { web, session } = this.#deps;
    const isHalf = dtype === 'fp16' || dtype === 'q4f16';
    const trials = [await tryInNode(path, float, session)];
    for (const runner of web.runners) {
      if (runner.software && !FOR_GPUS.includes(dtype)) {
        const reason = 'WebGPU has no kernels for it: the processor computes it';
        trials.push({ runtime: runner.name, status: 'not tried', reason });
      } else trials.push(await tryInWeb(runner, path, bytes, float, isHalf));
    }
    for (const { name, reason } of web.unavailable) {
      trials.push({ runtime: name, status: 'not tried', reason });
    }
    return trials;
  }

  /** Gives a file, its data first, the name under which it is looked for. */
  async #publish({ path, dataPath }: Staged): Promise<void> {
    const { folder } = this.#places;
    const target = join(folder, basename(path));
    if (dataPath) {
      // An older model must not find newer weights.
      rmSync(target, { force: true });
      await rename(dataPath, join(folder, basename(dataPath)));
    }
    await rename(path, target);
    if (!dataPath) rmSync(`${target}_data`, { force: true });
  }

  #about(dtype: WebDType, { bytes, dataPath }: Staged): Variant {
    const path = this.#target(dtype);
    const data = dataPath ? { dataPath: join(this.#places.folder, basename(dataPath)) } : {};
    return { dtype, path, isWritten: true, bytes, ...data, layers: {}, trials: [] };
  }

  #unwritten(dtype: WebDType, reason: string, layers: Variant['layers']): Variant {
    const path = this.#target(dtype);
    return { dtype, path, isWritten: false, reason, bytes: 0, layers, trials: [] };
  }

  #file(dtype: WebDType): string {
    return `${this.#places.name}${SUFFIXES[dtype]}.onnx`;
  }

  #target(dtype: WebDType): string {
    return join(this.#places.folder, this.#file(dtype));
  }

  /** The model that is being read must stay as it is. */
  #isInput(dtype: WebDType): boolean {
    const target = this.#target(dtype);
    const { modelPath } = this.#places;
    return existsSync(target) && realpathSync(target) === realpathSync(modelPath);
  }
}

function worksIn(trials: readonly Trial[], runtime: string): boolean {
  return trials.some((trial) => trial.runtime === runtime && trial.status === 'ok');
}

/** The most frequent reasons of layers that stayed float. */
function whyNothing({ decisions }: Made): string {
  const counts = new Map<string, number>();
  for (const { op, reason } of decisions) {
    const text = `${op}: ${reason ?? 'left float'}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const [first, second] = [...counts].sort(([, a], [, b]) => b - a);
  if (!first) return 'it has no layer that can be quantised';
  const listed = [first, second].flatMap((one) => (one ? [`${one[1]} × ${one[0]}`] : []));
  return `nothing can be quantised: ${listed.join('; ')}`;
}
