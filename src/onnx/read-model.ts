// ModelProto to Model. The file is walked, not loaded: tensors, nodes and everything else remember
// where they lie in it.

import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { XformError } from '../errors/error.ts';
import { modelBroken, modelEmpty, notAModel } from '../errors/model.ts';
import { Model } from '../graph/index.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Budget } from './budget.ts';
import { type ExternalData, ExternalFiles, ExternalLocations } from './external.ts';
import { MODEL } from './fields.ts';
import { ModelOrigin } from './origin.ts';
import { opsetsOf, readFunction, readOpset } from './read-function.ts';
import { type GraphContext, readGraph } from './read-graph.ts';
import { readEntry, readTensor } from './read-tensor.ts';
import { FileSource, MemorySource, type Source } from './source.ts';
import { BYTES, type Field, readNumber, readText, Scanner, VARINT, whole } from './wire.ts';

/** Reads a model file; its tensors are read when they are needed. */
export function readModel(path: string): Model {
  const isStream = statSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
  const source = isStream ? new MemorySource(path, readFileSync(path)) : FileSource.open(path);
  return read(source, path, new ExternalFiles(dirname(path), path));
}

/** The data files that a model refers to, present or not. */
export function dataFilesOf(path: string): ReadonlySet<string> {
  const locations = new ExternalLocations();
  const source = FileSource.open(path);
  try {
    read(source, path, locations);
  } finally {
    source.close();
  }
  return locations.all;
}

/** Where a model in memory is to be looked for: data files in `folder`, `path` for messages. */
export interface DecodeOptions {
  readonly folder?: string;
  readonly path?: string;
}

export function decodeModel(bytes: Uint8Array, options: DecodeOptions = {}): Model {
  const { folder, path } = options;
  const files = folder === undefined ? undefined : new ExternalFiles(folder, undefined);
  const label = path === '-' ? 'standard input' : (path ?? 'the model');
  return read(new MemorySource(label, bytes), path, files);
}

/** A TensorProto alone, as in ONNX's test data. */
export function decodeTensor(bytes: Uint8Array, where: string): { name: string; tensor: Tensor } {
  const source = new MemorySource(where, bytes);
  const { name, tensor } = readTensor({ ...whole(source), number: 0, head: 0 }, undefined);
  if (!tensor) throw modelBroken('the file holds no tensor of a known element type', where);
  return { name, tensor };
}

function read(source: Source, path: string | undefined, files: ExternalData | undefined): Model {
  if (source.size === 0) throw modelEmpty(source.label);
  const budget = new Budget();
  const parts = readParts(source, budget);
  const { graph: field, origin } = parts;
  if (!field) throw notAModel(source.label, 'it holds no graph');
  if (origin.opsets.length === 0 && parts.irVersion >= 3) {
    throw notAModel(source.label, 'it does not say which operator versions it uses (opset_import)');
  }
  const context: GraphContext = { files, depth: 0, budget };
  const graph = readGraph(field, context);
  const model = new Model(graph, opsetsOf(origin.opsets), parts.irVersion);
  model.origin = origin;
  model.producerName = parts.producerName;
  model.producerVersion = parts.producerVersion;
  for (const { key, value } of origin.metadata) model.metadata.set(key, value);
  model.functions = parts.functions.map((fn) => readFunction(fn, context));
  model.path = path;
  return model;
}

interface ModelParts {
  readonly origin: ModelOrigin;
  irVersion: number;
  producerName: string;
  producerVersion: string;
  graph: Field | undefined;
  readonly functions: Field[];
}

/** The outermost fields. Whatever fails here is no model at all. */
function readParts(source: Source, budget: Budget): ModelParts {
  const parts: ModelParts = {
    origin: new ModelOrigin(),
    irVersion: 0,
    producerName: '',
    producerVersion: '',
    graph: undefined,
    functions: [],
  };
  try {
    const scan = new Scanner(whole(source), 'ModelProto');
    while (scan.next()) {
      parts.origin.leftovers.seen.add(scan.number);
      budget.spend(scan);
      readModelField(parts, scan);
    }
  } catch (error) {
    if (parts.graph || !(error instanceof XformError) || error.code !== 'model-broken') throw error;
    throw looksLikeModel(parts) ? error : notAModel(source.label, error.message);
  }
  return parts;
}

function looksLikeModel(parts: ModelParts): boolean {
  return parts.irVersion > 0 && parts.irVersion < 1000;
}

function readModelField(parts: ModelParts, scan: Scanner): void {
  const { origin } = parts;
  switch (scan.number) {
    case MODEL.ir_version:
      scan.expect(VARINT);
      parts.irVersion = readNumber(scan);
      break;
    case MODEL.producer_name:
      scan.expect(BYTES);
      parts.producerName = readText(scan);
      break;
    case MODEL.producer_version:
      scan.expect(BYTES);
      parts.producerVersion = readText(scan);
      break;
    case MODEL.graph:
      scan.expect(BYTES);
      parts.graph = scan.field();
      break;
    case MODEL.opset_import:
      scan.expect(BYTES);
      origin.opsets.push(readOpset(scan.field()));
      break;
    case MODEL.metadata_props: {
      scan.expect(BYTES);
      const [key, value] = readEntry(scan);
      origin.metadata.push({ field: scan.field(), key, value });
      break;
    }
    case MODEL.functions:
      scan.expect(BYTES);
      parts.functions.push(scan.field());
      break;
    default:
      origin.leftovers.add(scan.field());
  }
}
