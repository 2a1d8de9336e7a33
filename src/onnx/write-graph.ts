// Graph to GraphProto and the body of FunctionProto. Nodes that are what they were are copied.

import type { Graph, Node, Value } from '../graph/index.ts';
import { GRAPH, NODE, SPARSE_TENSOR, TENSOR } from './fields.ts';
import { assemble, type Message, optionalText, type Parts, Shell } from './message.ts';
import { AttrOrigin, GraphOrigin, NodeOrigin, TensorOrigin, ValueOrigin } from './origin.ts';
import { canonicalDomain } from './read-node.ts';
import type { Storage } from './storage.ts';
import { type Field, readText } from './wire.ts';
import { isUntouched, writeAttr } from './write-attr.ts';
import { writeTensor } from './write-tensor.ts';
import { writeValueInfo } from './write-type.ts';

export function writeGraph(message: Message, number: number, graph: Graph, storage: Storage): void {
  const origin = graph.origin instanceof GraphOrigin ? graph.origin : new GraphOrigin();
  const { leftovers } = origin;
  message.message(number, (m) =>
    assemble(m, new Shell(leftovers.fields), {
      [GRAPH.node]: (x) => writeNodes(x, GRAPH.node, graph, storage),
      [GRAPH.name]: (x) => {
        if (graph.name || leftovers.seen.has(GRAPH.name)) x.text(GRAPH.name, graph.name);
      },
      [GRAPH.initializer]: (x) => writeInitializers(x, graph, storage),
      [GRAPH.input]: (x) => {
        for (const value of graph.inputs) {
          writeValueInfo(x, GRAPH.input, value, originOf(value)?.input);
        }
      },
      [GRAPH.output]: (x) => writeOutputs(x, graph.outputs),
      [GRAPH.value_info]: (x) => writeInfos(x, GRAPH.value_info, graph),
      [GRAPH.sparse_initializer]: (x) => {
        for (const value of graph.sparse) writeSparse(x, value);
      },
    }),
  );
}

function originOf(value: Value): ValueOrigin | undefined {
  return value.origin instanceof ValueOrigin ? value.origin : undefined;
}

/** Initializers of unknown kinds are kept apart in the graph; in the file they have their places. */
function writeInitializers(message: Message, graph: Graph, storage: Storage): void {
  const opaque = [...graph.sparse].flatMap((value) => {
    const field = originOf(value)?.opaque;
    return field?.number === GRAPH.initializer ? [field] : [];
  });
  for (const { name, data } of graph.initializers) {
    if (!data) continue;
    const at = data.origin instanceof TensorOrigin ? data.origin.span : undefined;
    while (at && opaque[0]?.source === at.source && opaque[0].head < at.head) {
      message.copy(opaque.shift() as Field);
    }
    writeTensor(message, GRAPH.initializer, data, storage, name);
  }
  for (const field of opaque) message.copy(field);
}

function writeSparse(message: Message, value: Value): void {
  const origin = originOf(value);
  const field = origin?.opaque;
  if (field?.number !== GRAPH.sparse_initializer) return;
  if (origin?.name === value.name) {
    message.copy(field);
    return;
  }
  // The name is that of the tensor with the values.
  const shell = Shell.of(field, 'SparseTensorProto');
  const values = Shell.of(shell.last(SPARSE_TENSOR.values), 'TensorProto');
  message.message(GRAPH.sparse_initializer, (m) =>
    assemble(m, shell, {
      [SPARSE_TENSOR.values]: (x) =>
        x.message(SPARSE_TENSOR.values, (tensor) =>
          assemble(tensor, values, { [TENSOR.name]: (t) => t.text(TENSOR.name, value.name) }),
        ),
    }),
  );
}

function writeOutputs(message: Message, outputs: readonly Value[]): void {
  const written = new Map<Value, number>();
  for (const value of outputs) {
    const index = written.get(value) ?? 0;
    written.set(value, index + 1);
    const fields = originOf(value)?.outputs ?? [];
    writeValueInfo(message, GRAPH.output, value, fields[index] ?? originOf(value)?.info);
  }
}

/** Types the file declares beside inputs and outputs. */
export function writeInfos(message: Message, number: number, graph: Graph): void {
  for (const value of graph.declared) {
    writeValueInfo(message, number, value, originOf(value)?.info);
  }
}

export function writeNodes(message: Message, number: number, graph: Graph, storage: Storage): void {
  for (const node of graph.nodes) {
    const field = node.origin instanceof NodeOrigin ? node.origin.field : undefined;
    const shell = Shell.of(field, 'NodeProto');
    if (field && isNodeUntouched(node, shell, storage)) message.copy(field, number);
    else message.message(number, (m) => assemble(m, shell, nodeParts(node, shell, storage)));
  }
}

function isNodeUntouched(node: Node, shell: Shell, storage: Storage): boolean {
  const attrs = shell.all(NODE.attribute);
  return (
    textOf(shell, NODE.op_type) === node.op &&
    textOf(shell, NODE.name) === node.name &&
    canonicalDomain(textOf(shell, NODE.domain)) === node.domain &&
    sameTexts(shell.all(NODE.input), node.inputs) &&
    sameTexts(shell.all(NODE.output), node.outputs) &&
    attrs.length === node.attrs.size &&
    [...node.attrs].every(
      ([name, attr], i) => isAt(attr.origin, attrs[i]) && isUntouched(name, attr, storage),
    )
  );
}

function textOf(shell: Shell, number: number): string {
  const field = shell.last(number);
  return field ? readText(field) : '';
}

function sameTexts(fields: readonly Field[], values: readonly (Value | undefined)[]): boolean {
  return (
    fields.length === values.length &&
    fields.every((field, i) => readText(field) === (values[i]?.name ?? ''))
  );
}

function isAt(origin: unknown, field: Field | undefined): boolean {
  return (
    origin instanceof AttrOrigin &&
    origin.field.source === field?.source &&
    origin.field.head === field.head
  );
}

function nodeParts(node: Node, shell: Shell, storage: Storage): Parts {
  const writer = {
    storage,
    graph: (message: Message, number: number, graph: Graph) =>
      writeGraph(message, number, graph, storage),
  };
  const spelling = textOf(shell, NODE.domain);
  const domain = canonicalDomain(spelling) === node.domain ? spelling : node.domain;
  return {
    [NODE.input]: (m) => {
      for (const value of node.inputs) m.text(NODE.input, value?.name ?? '');
    },
    [NODE.output]: (m) => {
      for (const value of node.outputs) m.text(NODE.output, value.name);
    },
    [NODE.name]: optionalText(shell, NODE.name, node.name),
    [NODE.op_type]: (m) => m.text(NODE.op_type, node.op),
    [NODE.attribute]: (m) => {
      for (const [name, attr] of node.attrs) writeAttr(m, NODE.attribute, name, attr, writer);
    },
    [NODE.domain]: optionalText(shell, NODE.domain, domain),
  };
}
