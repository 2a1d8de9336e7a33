// Attr to AttributeProto: as it was read, unless it is another or holds a graph.

import type { Attr, Graph } from '../graph/index.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { ATTRIBUTE, ATTRIBUTE_TYPE } from './fields.ts';
import { assemble, type Message, type Parts, Shell } from './message.ts';
import { AttrOrigin, TensorOrigin } from './origin.ts';
import type { Storage } from './storage.ts';
import { writeTensor } from './write-tensor.ts';
import { writeType } from './write-type.ts';

export interface AttrWriter {
  readonly storage: Storage;
  graph(message: Message, number: number, graph: Graph): void;
}

/** Whether the attribute is the very one that was read, and all of it can be copied. */
export function isUntouched(name: string, attr: Attr, storage: Storage): boolean {
  const { origin } = attr;
  if (!(origin instanceof AttrOrigin) || origin.attr !== attr || origin.name !== name) return false;
  switch (attr.type) {
    case 'graph':
    case 'graphs':
      return false;
    case 'tensor':
      return isCopied(attr.value, storage);
    case 'tensors':
      return attr.value.every((tensor) => isCopied(tensor, storage));
    default:
      return true;
  }
}

function isCopied(tensor: Tensor, storage: Storage): boolean {
  const { origin } = tensor;
  return origin instanceof TensorOrigin && !origin.isExternal && !storage.place(tensor, false);
}

export function writeAttr(
  message: Message,
  number: number,
  name: string,
  attr: Attr,
  writer: AttrWriter,
): void {
  const origin = attr.origin instanceof AttrOrigin ? attr.origin : undefined;
  if (origin && isUntouched(name, attr, writer.storage)) {
    message.copy(origin.field, number);
    return;
  }
  // Only a graph or tensor that changes inside stays the same attribute; its type may be unsaid.
  const isSame = origin?.attr?.type === attr.type;
  const shell = isSame ? Shell.of(origin?.field, 'AttributeProto') : Shell.none;
  const type = ATTRIBUTE_TYPES[attr.type];
  const saysType = type !== undefined && (!isSame || shell.has(ATTRIBUTE.type));
  message.message(number, (m) =>
    assemble(m, shell, {
      [ATTRIBUTE.name]: (x) => x.text(ATTRIBUTE.name, name),
      ...valueParts(attr, writer),
      ...(saysType && { [ATTRIBUTE.type]: (x: Message) => x.int(ATTRIBUTE.type, type) }),
    }),
  );
}

const ATTRIBUTE_TYPES: Readonly<Partial<Record<Attr['type'], number>>> = {
  float: ATTRIBUTE_TYPE.FLOAT,
  int: ATTRIBUTE_TYPE.INT,
  string: ATTRIBUTE_TYPE.STRING,
  tensor: ATTRIBUTE_TYPE.TENSOR,
  graph: ATTRIBUTE_TYPE.GRAPH,
  floats: ATTRIBUTE_TYPE.FLOATS,
  ints: ATTRIBUTE_TYPE.INTS,
  strings: ATTRIBUTE_TYPE.STRINGS,
  tensors: ATTRIBUTE_TYPE.TENSORS,
  graphs: ATTRIBUTE_TYPE.GRAPHS,
  type: ATTRIBUTE_TYPE.TYPE_PROTO,
};

function valueParts(attr: Attr, writer: AttrWriter): Parts {
  switch (attr.type) {
    case 'float':
      return { [ATTRIBUTE.f]: (m) => m.float(ATTRIBUTE.f, attr.value) };
    case 'int':
      return { [ATTRIBUTE.i]: (m) => m.int(ATTRIBUTE.i, attr.value) };
    case 'string':
      return { [ATTRIBUTE.s]: (m) => m.bytes(ATTRIBUTE.s, attr.value) };
    case 'tensor':
      return { [ATTRIBUTE.t]: (m) => writeTensor(m, ATTRIBUTE.t, attr.value, writer.storage) };
    case 'graph':
      return { [ATTRIBUTE.g]: (m) => writer.graph(m, ATTRIBUTE.g, attr.value) };
    case 'floats':
      return {
        [ATTRIBUTE.floats]: (m) => {
          for (const value of attr.value) m.float(ATTRIBUTE.floats, value);
        },
      };
    case 'ints':
      return {
        [ATTRIBUTE.ints]: (m) => {
          for (const value of attr.value) m.int(ATTRIBUTE.ints, value);
        },
      };
    case 'strings':
      return {
        [ATTRIBUTE.strings]: (m) => {
          for (const value of attr.value) m.bytes(ATTRIBUTE.strings, value);
        },
      };
    case 'tensors':
      return {
        [ATTRIBUTE.tensors]: (m) => {
          for (const value of attr.value) writeTensor(m, ATTRIBUTE.tensors, value, writer.storage);
        },
      };
    case 'graphs':
      return {
        [ATTRIBUTE.graphs]: (m) => {
          for (const value of attr.value) writer.graph(m, ATTRIBUTE.graphs, value);
        },
      };
    case 'type':
      return { [ATTRIBUTE.tp]: (m) => writeType(m, ATTRIBUTE.tp, attr.value) };
    case 'reference':
      return { [ATTRIBUTE.ref_attr_name]: (m) => m.text(ATTRIBUTE.ref_attr_name, attr.value) };
    case 'opaque':
      return {};
  }
}
