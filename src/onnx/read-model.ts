// ModelProto to Model. The file is walked, not loaded: tensors, nodes and everything else remember
// where they lie in it.

import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { XformError } from '../errors/error.ts';
import { modelBroken, modelEmpty, notAModel } from '../errors/model.ts';
import { type Attr, Graph, Model, type ModelFunction, Value } from '../graph/index.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type ExternalData, ExternalFiles, ExternalLocations } from './external.ts';
import { FUNCTION, MODEL, OPSET } from './fields.ts';
import { FunctionOrigin, ModelOrigin, type OpsetOrigin } from './origin.ts';
import { readAttrs } from './read-attr.ts';
import {
  canonicalDomain,
  type GraphContext,
  type Parts,
  readBody,
  readGraph,
  Scope,
} from './read-graph.ts';
import { readEntry, readTensor } from './read-tensor.ts';
import { FileSource, MemorySource, type Source } from './source.ts';
import {
  BYTES,
  type Field,
  readNumber,
  readText,
  Scanner,
  type Span,
  VARINT,
  whole,
} from './wire.ts';

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
  const parts = readParts(source);
  const { graph: field, origin } = parts;
  if (!field) throw notAModel(source.label, 'it holds no graph');
  if (origin.opsets.length === 0 && parts.irVersion >= 3) {
    throw notAModel(source.label, 'it does not say which operator versions it uses (opset_import)');
  }
  const context: GraphContext = { files, depth: 0 };
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
function readParts(source: Source): ModelParts {
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

function readOpset(field: Field): OpsetOrigin {
  let domain = '';
  let version = 0;
  const scan = new Scanner(field, 'OperatorSetIdProto');
  while (scan.next()) {
    if (scan.number === OPSET.domain) {
      scan.expect(BYTES);
      domain = canonicalDomain(readText(scan));
    } else if (scan.number === OPSET.version) {
      scan.expect(VARINT);
      version = readNumber(scan);
    }
  }
  return { field, domain, version };
}

function opsetsOf(imports: readonly OpsetOrigin[]): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of imports) {
    if (!opsets.has(domain)) opsets.set(domain, version);
  }
  return opsets;
}

function readFunction(field: Span, context: GraphContext): ModelFunction {
  const origin = new FunctionOrigin();
  const parts: Parts = { nodes: [], infos: [], inputs: [], outputs: [] };
  const texts = { name: '', domain: '', overload: '' };
  const attributes: string[] = [];
  const defaults: Field[] = [];
  const lists: Readonly<Record<number, Field[]>> = {
    [FUNCTION.node]: parts.nodes,
    [FUNCTION.value_info]: parts.infos,
    [FUNCTION.input]: parts.inputs,
    [FUNCTION.output]: parts.outputs,
    [FUNCTION.attribute_proto]: defaults,
  };
  const scan = new Scanner(field, 'FunctionProto');
  while (scan.next()) {
    origin.leftovers.seen.add(scan.number);
    const list = lists[scan.number];
    if (list) scan.expect(BYTES);
    if (list) list.push(scan.field());
    else readFunctionField(scan, texts, attributes, origin);
  }
  const graph = readFunctionBody(texts.name, parts, context);
  return {
    ...texts,
    domain: canonicalDomain(texts.domain),
    graph,
    attributes,
    defaults: readDefaults(defaults, context),
    opsets: opsetsOf(origin.opsets),
    origin,
  };
}

function readFunctionField(
  scan: Scanner,
  texts: { name: string; domain: string; overload: string },
  attributes: string[],
  origin: FunctionOrigin,
): void {
  switch (scan.number) {
    case FUNCTION.name:
      scan.expect(BYTES);
      texts.name = readText(scan);
      break;
    case FUNCTION.domain:
      scan.expect(BYTES);
      texts.domain = readText(scan);
      break;
    case FUNCTION.overload:
      scan.expect(BYTES);
      texts.overload = readText(scan);
      break;
    case FUNCTION.attribute:
      scan.expect(BYTES);
      attributes.push(readText(scan));
      break;
    case FUNCTION.opset_import:
      scan.expect(BYTES);
      origin.opsets.push(readOpset(scan.field()));
      break;
    default:
      origin.leftovers.add(scan.field());
  }
}

/** Inputs and outputs of functions are bare names. */
function readFunctionBody(name: string, parts: Parts, context: GraphContext): Graph {
  const graph = new Graph(name);
  const scope = new Scope();
  graph.inputs = parts.inputs.map((field) => new Value(readText(field)));
  for (const input of graph.inputs) scope.add(input);
  readBody(graph, scope, parts, context);
  graph.outputs = parts.outputs.map((field) => {
    const output = readText(field);
    const known = scope.find(output) ?? new Value(output);
    scope.add(known);
    return known;
  });
  return graph;
}

function readDefaults(fields: readonly Field[], context: GraphContext): Map<string, Attr> {
  const inner = { ...context, depth: context.depth + 1 };
  const attrs = { files: context.files, graph: (body: Field) => readGraph(body, inner) };
  return readAttrs(fields, attrs, 'a function');
}
