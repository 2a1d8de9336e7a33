// Loads and runs models in onnxruntime-web: the part that is the same in a browser's page and in a
// Node process. Nothing here may need Node.

import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { DType } from '../../tensor/dtype.ts';
import type { WireFeeds, WireTensor } from '../protocol.ts';
import type { WebAnswer, WebModel, WebTask } from './task.ts';

/** The part of onnxruntime-web's interface that is used; the package itself is optional. */
export interface WebRuntime {
  readonly InferenceSession: typeof InferenceSession;
  readonly Tensor: typeof OrtTensor;
  readonly env: {
    logLevel?: string;
    readonly wasm: { numThreads?: number; wasmPaths?: string };
    readonly versions: { readonly web?: string };
  };
}

type Elements = OrtTensor.DataTypeMap[keyof OrtTensor.DataTypeMap];
type ElementsConstructor = new (buffer: ArrayBuffer) => Elements;

interface Growing {
  loadMs: number;
  samples: number[];
  session?: InferenceSession;
  feeds: Record<string, OrtTensor>;
  failure?: { doing: 'load' | 'run'; message: string };
}

/** `outputs` are those of the first run, model by model; empty where it failed. */
export interface Executed {
  readonly answers: readonly WebAnswer[];
  readonly outputs: readonly WireFeeds[];
}

export async function execute(
  ort: WebRuntime,
  task: WebTask,
  feeds: readonly WireFeeds[],
): Promise<Executed> {
  // Its lines on the console would double the exceptions.
  ort.env.logLevel = 'fatal';
  ort.env.wasm.numThreads = task.threads;
  const models: Growing[] = [];
  const outputs: WireFeeds[] = [];
  for (const [i, model] of task.models.entries()) {
    const growing: Growing = { loadMs: 0, samples: [], feeds: {} };
    models.push(growing);
    outputs.push(await first(ort, task, model, feeds[i] ?? [], growing));
  }
  await time(models, task);
  for (const { session } of models) await session?.release();
  const answers = models.map(({ loadMs, samples, failure }) => {
    return { loadMs, samples, ...(failure ? { failure } : {}) };
  });
  return { answers, outputs };
}

/** Loads one model and runs it once. */
async function first(
  ort: WebRuntime,
  task: WebTask,
  model: WebModel,
  feeds: WireFeeds,
  growing: Growing,
): Promise<WireFeeds> {
  let doing: 'load' | 'run' = 'load';
  try {
    const started = performance.now();
    growing.session = await ort.InferenceSession.create(model.source, {
      executionProviders: [task.provider],
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
      ...(model.externalData.length > 0 ? { externalData: model.externalData } : {}),
    });
    growing.loadMs = performance.now() - started;
    doing = 'run';
    growing.feeds = Object.fromEntries(
      feeds.map(([name, tensor]) => [name, toOrt(ort, tensor)] as const),
    );
    const results = await growing.session.run(growing.feeds);
    return Object.entries(results).map(([name, tensor]) => [name, fromOrt(tensor)] as const);
  } catch (error) {
    growing.failure = { doing, message: messageOf(error) };
    return [];
  }
}

/** Runs all that work in turn, A B A B: whatever else the machine does strikes all alike. */
async function time(models: readonly Growing[], task: WebTask): Promise<void> {
  const working = models.filter(({ failure }) => failure === undefined);
  const started = performance.now();
  for (let round = 0; round < task.runs; round++) {
    if (round > 0 && performance.now() - started > task.budgetMs) return;
    for (const model of working) await timeOnce(model);
  }
}

async function timeOnce(model: Growing): Promise<void> {
  if (model.failure) return;
  try {
    const before = performance.now();
    await model.session?.run(model.feeds);
    model.samples.push(performance.now() - before);
  } catch (error) {
    model.failure = { doing: 'run', message: messageOf(error) };
  }
}

function toOrt(ort: WebRuntime, { dtype, shape, bytes, strings }: WireTensor): OrtTensor {
  if (strings) return new ort.Tensor('string', [...strings], shape);
  const elements = elementsOf(dtype);
  if (!elements) throw new Error(`onnxruntime-web has no tensors of ${dtype}`);
  const type = dtype as keyof OrtTensor.DataTypeMap;
  // Between processes bytes arrive as a window on a larger buffer.
  const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
  return new ort.Tensor(type, new elements(own.buffer), shape);
}

function fromOrt(tensor: OrtTensor): WireTensor {
  const { type, dims, data } = tensor;
  const base = { dtype: type as DType, shape: [...dims] };
  if (type === 'string') {
    return { ...base, bytes: new Uint8Array(0), strings: [...(data as string[])] };
  }
  const view = data as Uint8Array;
  const bytes = new Uint8Array(view.byteLength);
  bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  return { ...base, bytes };
}

function elementsOf(dtype: DType): ElementsConstructor | undefined {
  const constructors: Partial<Record<DType, unknown>> = {
    float32: Float32Array,
    float64: Float64Array,
    // Engines that have the type insist on it.
    float16: (globalThis as { Float16Array?: unknown }).Float16Array ?? Uint16Array,
    bool: Uint8Array,
    uint8: Uint8Array,
    int8: Int8Array,
    uint16: Uint16Array,
    int16: Int16Array,
    uint32: Uint32Array,
    int32: Int32Array,
    uint64: BigUint64Array,
    int64: BigInt64Array,
  };
  return constructors[dtype] as ElementsConstructor | undefined;
}

function messageOf(error: unknown): string {
  // Emscripten throws numbers for what it cannot name.
  return error instanceof Error ? error.message : `it stopped with ${String(error)}`;
}
