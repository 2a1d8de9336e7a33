// GraphProto and the bodies of FunctionProto to Graph. Names become values: an inner graph sees the
// names of those around it, and a node may stand before the producer of what it reads.

import { modelTooDeep } from '../errors/model.ts';
import { Graph, Node, type Type, Value } from '../graph/index.ts';
import type { Budget } from './budget.ts';
import type { ExternalData } from './external.ts';
import { GRAPH, SPARSE_TENSOR, TENSOR } from './fields.ts';
import { GraphOrigin, NodeOrigin, ValueOrigin } from './origin.ts';
import { readAttrs } from './read-attr.ts';
import { type NodeRecord, readNodeRecord } from './read-node.ts';
import { readTensor } from './read-tensor.ts';
import { readValueInfo, type ValueInfo } from './read-type.ts';
import { BYTES, broken, type Field, MAX_DEPTH, readText, Scanner, type Span } from './wire.ts';

export interface GraphContext {
  readonly files: ExternalData | undefined;
  readonly depth: number;
  readonly budget: Budget;
}

/** Names visible in a graph. */
export class Scope {
  readonly own = new Map<string, Value>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  /** The value of this name here or outside. */
  find(name: string): Value | undefined {
    for (let scope: Scope | undefined = this; scope; scope = scope.#outer) {
      const value = scope.own.get(name);
      if (value) return value;
    }
    return undefined;
  }

  isOutside(name: string): boolean {
    return this.#outer?.find(name) !== undefined;
  }

  /** The first of a name keeps it. */
  add(value: Value): void {
    if (value.name && !this.own.has(value.name)) this.own.set(value.name, value);
  }
}

/** What a graph or function body is made of, sorted by kind. */
export interface Parts {
  readonly nodes: NodeRecord[];
  readonly infos: Field[];
  readonly inputs: Field[];
  readonly outputs: Field[];
}

export function readGraph(field: Span, context: GraphContext, outer?: Scope): Graph {
  if (context.depth > MAX_DEPTH) {
    throw modelTooDeep(MAX_DEPTH, `${field.source.label}, byte ${field.start}`);
  }
  const graph = new Graph();
  const origin = new GraphOrigin();
  graph.origin = origin;
  const initializers: Field[] = [];
  const sparse: Field[] = [];
  const parts: Parts = { nodes: [], infos: [], inputs: [], outputs: [] };
  const lists: Readonly<Record<number, Field[]>> = {
    [GRAPH.initializer]: initializers,
    [GRAPH.input]: parts.inputs,
    [GRAPH.output]: parts.outputs,
    [GRAPH.value_info]: parts.infos,
    [GRAPH.sparse_initializer]: sparse,
  };
  const scan = new Scanner(field, 'GraphProto');
  while (scan.next()) {
    origin.leftovers.seen.add(scan.number);
    const list = lists[scan.number];
    if (list || scan.number === GRAPH.name || scan.number === GRAPH.node) scan.expect(BYTES);
    if (list) context.budget.spend(scan);
    if (list) list.push(scan.field());
    else if (scan.number === GRAPH.node) addNode(parts, scan, context);
    else if (scan.number === GRAPH.name) graph.name = readText(scan);
    else if (origin.leftovers.add(scan.field())) context.budget.spend(scan);
  }
  const scope = new Scope(outer);
  for (const input of parts.inputs) addInput(graph, scope, readValueInfo(input));
  for (const tensor of initializers) addInitializer(graph, scope, tensor, context);
  for (const tensor of sparse) addSparse(graph, scope, tensor);
  readBody(graph, scope, parts, context);
  addOutputs(graph, scope, parts.outputs.map(readValueInfo));
  return graph;
}

/** The field of the scanner is a node. */
export function addNode(parts: Parts, scan: Scanner, context: GraphContext): void {
  context.budget.spend(scan);
  parts.nodes.push(readNodeRecord(scan.field(), context.budget));
}

function originOf(value: Value): ValueOrigin {
  if (value.origin instanceof ValueOrigin) return value.origin;
  const origin = new ValueOrigin(value.name);
  origin.type = value.type;
  value.origin = origin;
  return origin;
}

function setType(value: Value, type: Type | undefined): void {
  value.type = type;
  originOf(value).type = type;
}

function nameless(field: Span, what: string): Error {
  return broken(field.source, field.start, `${what} has no name`);
}

function addInput(graph: Graph, scope: Scope, info: ValueInfo): void {
  if (!info.name) throw nameless(info.field, 'a graph input');
  const value = new Value(info.name, info.type);
  originOf(value).input = info.field;
  graph.inputs.push(value);
  scope.add(value);
}

function addInitializer(graph: Graph, scope: Scope, field: Field, context: GraphContext): void {
  const { name, tensor } = readTensor(field, context.files);
  if (!name) throw nameless(field, 'an initializer');
  if (!tensor) {
    addOpaque(graph, scope, name, field);
    return;
  }
  const input = scope.own.get(name);
  if (input && !input.data) {
    input.data = tensor;
    if (!input.type) setType(input, { kind: 'tensor', dtype: tensor.dtype, shape: tensor.shape });
    graph.initializers.add(input);
    return;
  }
  const value = new Value(name, undefined, tensor);
  graph.initializers.add(value);
  scope.add(value);
}

function addSparse(graph: Graph, scope: Scope, field: Field): void {
  let name = '';
  const scan = new Scanner(field, 'SparseTensorProto');
  while (scan.next()) {
    if (scan.number !== SPARSE_TENSOR.values) continue;
    scan.expect(BYTES);
    const inner = new Scanner(scan, 'TensorProto');
    while (inner.next()) {
      if (inner.number !== TENSOR.name) continue;
      inner.expect(BYTES);
      name = readText(inner);
    }
  }
  addOpaque(graph, scope, name, field);
}

/** A constant that xform carries along without looking inside. */
function addOpaque(graph: Graph, scope: Scope, name: string, field: Field): void {
  const value = new Value(name);
  originOf(value).opaque = field;
  graph.sparse.add(value);
  scope.add(value);
}

/** Nodes and declared types, of a graph or a function. */
export function readBody(graph: Graph, scope: Scope, parts: Parts, context: GraphContext): void {
  const records = parts.nodes;
  for (const record of records) for (const output of record.outputs) scope.add(output);
  for (const info of parts.infos) addInfo(graph, scope, readValueInfo(info));
  const inner = { ...context, depth: context.depth + 1 };
  const attrs = {
    files: context.files,
    budget: context.budget,
    graph: (body: Field) => readGraph(body, inner, scope),
  };
  for (const record of records) {
    graph.append(
      new Node({
        op: record.op,
        domain: record.domain,
        name: record.name,
        inputs: record.inputs.map((name) => (name ? resolve(scope, name) : undefined)),
        outputs: record.outputs,
        attrs: readAttrs(record.attrs, attrs, record.op),
        origin: new NodeOrigin(record.field),
      }),
    );
  }
}

/** A name that nothing makes gets a value as well; `checkModel` reports it. */
function resolve(scope: Scope, name: string): Value {
  const known = scope.find(name);
  if (known) return known;
  const value = new Value(name);
  scope.add(value);
  return value;
}

function addInfo(graph: Graph, scope: Scope, info: ValueInfo): void {
  let value = scope.own.get(info.name);
  // A second declaration of a name, or one of a value nothing makes, still has its place in the file.
  if (!value || graph.declared.has(value)) {
    value = new Value(info.name);
    if (!scope.isOutside(info.name)) scope.add(value);
  }
  if (!value.type) setType(value, info.type);
  originOf(value).info = info.field;
  graph.declared.add(value);
}

function addOutputs(graph: Graph, scope: Scope, infos: readonly ValueInfo[]): void {
  for (const info of infos) {
    if (!info.name) throw nameless(info.field, 'a graph output');
    const own = scope.own.get(info.name);
    const value = own ?? resolve(scope, info.name);
    graph.outputs.push(value);
    if (!own && scope.isOutside(info.name)) continue;
    const origin = originOf(value);
    origin.outputs.push(info.field);
    // What a graph promises about its outputs outweighs what it says of values in passing.
    const isOpen = !value.data && !graph.inputs.includes(value);
    if (isOpen && info.type && (!value.type || saysMore(info.type, value.type))) {
      setType(value, info.type);
    }
  }
}

function saysMore(a: Type, b: Type): boolean {
  return a.kind !== 'tensor' || b.kind !== 'tensor' || a.shape !== undefined;
}
