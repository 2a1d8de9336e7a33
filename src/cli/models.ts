// Models in and out of commands: `-` for the standard streams, default names, summaries.

import { readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { modelUnsound } from '../errors/model.ts';
import { allGraphs, checkModel, type Model } from '../graph/index.ts';
import { dataFilesOf, decodeModel, readModel, writeModel, writeModelTo } from '../onnx/index.ts';
import { parameterCount } from '../ops/cost.ts';
import type { ModelSummary } from '../report/report.ts';

const STDIN = 0;

/** Reads a model from a file, or from standard input for `-`. */
export function readInput(path: string): Model {
  return path === '-' ? decodeModel(readStandardInput(), { path: '-' }) : readModel(path);
}

/** All of standard input; a pipe that others have made non-blocking is waited for. */
function readStandardInput(): Buffer {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(1 << 20);
    const length = readOrWait(chunk);
    if (length === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, length));
  }
}

const PAUSE_MS = 5;

function readOrWait(chunk: Buffer): number {
  for (;;) {
    try {
      return readSync(STDIN, chunk);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}

/** The same for commands that work with the graph: throws where its structure is broken. */
export function readSound(path: string): Model {
  const model = readInput(path);
  const problems = checkModel(model);
  const [first] = problems;
  if (!first) return model;
  const where = first.where ? `${path}: ${first.where}` : path;
  throw modelUnsound(first.message, where, problems.length);
}

/** `model.onnx` → `model.optimized.onnx`, beside the input. */
export function defaultOutput(input: string, suffix: string): string {
  if (input === '-') return '-';
  const name = basename(input).replace(/\.onnx$/i, '');
  return join(dirname(input), `${name}.${suffix}.onnx`);
}

/** Writes the model to a file, or to standard output for `-`; says what was written. */
export async function writeOutput(
  model: Model,
  path: string,
  options: { externalData?: boolean } = {},
): Promise<ModelSummary> {
  if (path === '-') {
    const bytes = await writeModelTo(model, process.stdout);
    return summarize(model, path, bytes);
  }
  const { bytes, dataBytes } = await writeModel(model, path, options);
  return summarize(model, path, bytes + dataBytes);
}

export function summarize(model: Model, path: string, bytes = modelBytes(path)): ModelSummary {
  let nodes = 0;
  for (const graph of allGraphs(model)) nodes += graph.nodeCount;
  return { path, bytes, parameters: parameterCount(model), nodes, opset: model.opset };
}

/** The model with the data files beside it; 0 for standard input. */
export function modelBytes(path: string): number {
  const fileBytes = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (path === '-') return 0;
  const data = [...dataFilesOf(path)].map((name) => fileBytes(join(dirname(path), name)));
  return data.reduce((sum, bytes) => sum + bytes, fileBytes(path));
}
