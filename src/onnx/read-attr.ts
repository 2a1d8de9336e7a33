// AttributeProto to Attr. Long lists are read when someone asks for them.

import { duplicateAttribute } from '../errors/model.ts';
import type { Attr, AttrValue, Graph } from '../graph/index.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Budget } from './budget.ts';
import type { ExternalData } from './external.ts';
import { ATTRIBUTE, ATTRIBUTE_TYPE } from './fields.ts';
import { AttrOrigin } from './origin.ts';
import { readTensor } from './read-tensor.ts';
import { readType } from './read-type.ts';
import {
  appendFloats,
  appendInts,
  BYTES,
  FIXED32,
  type Field,
  readBytes,
  readFloat,
  readInt,
  readNumber,
  readText,
  Scanner,
  VARINT,
} from './wire.ts';

/** What attributes need from around them. */
export interface AttrContext {
  readonly files: ExternalData | undefined;
  readonly budget: Budget;
  graph(field: Field): Graph;
}

const LAZY_BYTES = 4096;

/** The field a value lies in, by type. */
const VALUE_FIELD: ReadonlyMap<number, number> = new Map([
  [ATTRIBUTE_TYPE.FLOAT, ATTRIBUTE.f],
  [ATTRIBUTE_TYPE.INT, ATTRIBUTE.i],
  [ATTRIBUTE_TYPE.STRING, ATTRIBUTE.s],
  [ATTRIBUTE_TYPE.TENSOR, ATTRIBUTE.t],
  [ATTRIBUTE_TYPE.GRAPH, ATTRIBUTE.g],
  [ATTRIBUTE_TYPE.FLOATS, ATTRIBUTE.floats],
  [ATTRIBUTE_TYPE.INTS, ATTRIBUTE.ints],
  [ATTRIBUTE_TYPE.STRINGS, ATTRIBUTE.strings],
  [ATTRIBUTE_TYPE.TENSORS, ATTRIBUTE.tensors],
  [ATTRIBUTE_TYPE.GRAPHS, ATTRIBUTE.graphs],
  [ATTRIBUTE_TYPE.SPARSE_TENSOR, ATTRIBUTE.sparse_tensor],
  [ATTRIBUTE_TYPE.SPARSE_TENSORS, ATTRIBUTE.sparse_tensors],
  [ATTRIBUTE_TYPE.TYPE_PROTO, ATTRIBUTE.tp],
  [ATTRIBUTE_TYPE.TYPE_PROTOS, ATTRIBUTE.type_protos],
]);

const VALUE_FIELDS: ReadonlySet<number> = new Set(VALUE_FIELD.values());

/** Attributes by name; `owner` is what has them. */
export function readAttrs(
  fields: readonly Field[],
  context: AttrContext,
  owner: string,
): Map<string, Attr> {
  const attrs = new Map<string, Attr>();
  for (const field of fields) {
    const { name, attr } = readAttr(field, context);
    if (attrs.has(name)) {
      const where = `${field.source.label}, byte ${field.start}`;
      throw duplicateAttribute(name, owner, where);
    }
    attrs.set(name, attr);
  }
  return attrs;
}

function readAttr(field: Field, context: AttrContext): { name: string; attr: Attr } {
  let name = '';
  let reference = '';
  let type = 0;
  let found = 0;
  const scan = new Scanner(field, 'AttributeProto');
  while (scan.next()) {
    if (scan.number === ATTRIBUTE.name) {
      scan.expect(BYTES);
      name = readText(scan);
    } else if (scan.number === ATTRIBUTE.ref_attr_name) {
      scan.expect(BYTES);
      reference = readText(scan);
    } else if (scan.number === ATTRIBUTE.type) {
      scan.expect(VARINT);
      type = readNumber(scan);
    } else if (VALUE_FIELDS.has(scan.number)) found = scan.number;
  }
  const origin = new AttrOrigin(field, name);
  // The first files of all have no types: what is there tells.
  const number = type === 0 ? found : VALUE_FIELD.get(type);
  const value: AttrValue = reference
    ? { type: 'reference', value: reference }
    : readValue(field, number ?? 0, context);
  const attr = Object.assign(value, { origin });
  origin.attr = attr;
  return { name, attr };
}

function readValue(field: Field, number: number, context: AttrContext): AttrValue {
  switch (number) {
    case ATTRIBUTE.f:
      return { type: 'float', value: lastOf(field, number, FIXED32, readFloat) ?? 0 };
    case ATTRIBUTE.i:
      return { type: 'int', value: lastOf(field, number, VARINT, readInt) ?? 0 };
    case ATTRIBUTE.s:
      return {
        type: 'string',
        value: lastOf(field, number, BYTES, readBytes) ?? new Uint8Array(0),
      };
    case ATTRIBUTE.t:
    case ATTRIBUTE.g:
    case ATTRIBUTE.tp:
      return readSingleMessage(field, number, context);
    case ATTRIBUTE.floats:
      return lazily(field, 'floats', (list: number[], scan) => appendFloats(scan, list), number);
    case ATTRIBUTE.ints:
      return lazily(
        field,
        'ints',
        (list: (number | bigint)[], scan) => appendInts(scan, list),
        number,
      );
    case ATTRIBUTE.strings:
      return lazily(
        field,
        'strings',
        (list: Uint8Array[], scan) => list.push(readBytes(scan)),
        number,
      );
    case ATTRIBUTE.tensors: {
      const tensors = messagesOf(field, number, context).map(
        (f) => readTensor(f, context.files).tensor,
      );
      const known = tensors.filter((tensor): tensor is Tensor => tensor !== undefined);
      return known.length === tensors.length
        ? { type: 'tensors', value: known }
        : { type: 'opaque', value: undefined };
    }
    case ATTRIBUTE.graphs:
      return {
        type: 'graphs',
        value: messagesOf(field, number, context).map((f) => context.graph(f)),
      };
    default:
      return { type: 'opaque', value: undefined };
  }
}

function readSingleMessage(field: Field, number: number, context: AttrContext): AttrValue {
  const message = messagesOf(field, number, context).at(-1);
  if (message && number === ATTRIBUTE.g) return { type: 'graph', value: context.graph(message) };
  if (message && number === ATTRIBUTE.t) {
    const { tensor } = readTensor(message, context.files);
    if (tensor) return { type: 'tensor', value: tensor };
  }
  const type = message && number === ATTRIBUTE.tp ? readType(message) : undefined;
  return type ? { type: 'type', value: type } : { type: 'opaque', value: undefined };
}

function lastOf<T>(
  field: Field,
  number: number,
  wire: number,
  read: (scan: Scanner) => T,
): T | undefined {
  let value: T | undefined;
  const scan = new Scanner(field, 'AttributeProto');
  while (scan.next()) {
    if (scan.number !== number) continue;
    scan.expect(wire);
    value = read(scan);
  }
  return value;
}

function messagesOf(field: Field, number: number, { budget }: AttrContext): Field[] {
  const messages: Field[] = [];
  const scan = new Scanner(field, 'AttributeProto');
  while (scan.next()) {
    if (scan.number !== number) continue;
    scan.expect(BYTES);
    budget.spend(scan);
    messages.push(scan.field());
  }
  return messages;
}

const LIST_WIRES = {
  floats: [FIXED32, BYTES],
  ints: [VARINT, BYTES],
  strings: [BYTES],
} as const;

/** Short lists at once; of long ones (tree ensembles have millions of numbers) only the way there. */
function lazily<K extends keyof typeof LIST_WIRES, T>(
  field: Field,
  type: K,
  append: (list: T[], scan: Scanner) => void,
  number: number,
): { readonly type: K; readonly value: readonly T[] } {
  const read = () => {
    const list: T[] = [];
    const scan = new Scanner(field, 'AttributeProto');
    while (scan.next()) {
      if (scan.number !== number) continue;
      scan.expect(...LIST_WIRES[type]);
      append(list, scan);
    }
    return list;
  };
  if (field.end - field.start <= LAZY_BYTES) return { type, value: read() };
  let list: T[] | undefined;
  return {
    type,
    get value() {
      list ??= read();
      return list;
    },
  };
}
