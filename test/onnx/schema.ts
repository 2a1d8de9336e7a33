// Models read through the schema by protobufjs: independent of src/onnx, and complete.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const path = join(dirname(fileURLToPath(import.meta.url)), 'onnx.proto');
protobuf.Reader.discardUnknown = false;
export const schema = protobuf.parse(readFileSync(path, 'utf8'), { keepCase: true }).root;

type Plain = { readonly [key: string]: unknown };

/** All fields of a message that are present, unknown ones included, as plain values. */
export function messageOf(bytes: Uint8Array, type = 'ModelProto'): Plain {
  return plain(schema.lookupType(`onnx.${type}`).decode(bytes)) as Plain;
}

/** What protobufjs writes for what it reads: fields in ascending order. */
export function reencoded(bytes: Uint8Array, type = 'ModelProto'): Uint8Array {
  const reader = schema.lookupType(`onnx.${type}`);
  return reader.encode(reader.decode(bytes)).finish();
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'number' && Number.isNaN(value)) return 'NaN';
  if (typeof value !== 'object' || value === null) return value;
  if ('low' in value && 'high' in value) return String(value);
  // An empty list is no field.
  const fields = Object.entries(value).filter(
    ([, item]) => !Array.isArray(item) || item.length > 0,
  );
  const entries = fields.map(([key, item]) => [key, plain(item)] as const);
  const unknowns = (value as { $unknowns?: unknown[] }).$unknowns?.map(plain).sort();
  return Object.fromEntries(unknowns ? [...entries, ['$unknowns', unknowns]] : entries);
}

/** The same message with its fields in another order, and with fields that no schema knows. */
export function scrambled(
  bytes: Uint8Array,
  type: string,
  next: (below: number) => number,
): Buffer {
  const { fieldsById } = schema.lookupType(`onnx.${type}`);
  const lists = new Map<number, Uint8Array[]>();
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const head = reader.pos;
    const tag = reader.uint32();
    const start = reader.pos;
    reader.skipType(tag & 7);
    const field = fieldsById[tag >>> 3]?.resolve();
    let raw: Uint8Array = Uint8Array.from(bytes.subarray(head, reader.pos));
    if (field?.resolvedType instanceof protobuf.Type) {
      const content = protobuf.Reader.create(bytes.subarray(start)).bytes();
      const inner = field.resolvedType.fullName.replace('.onnx.', '');
      raw = lengthDelimited(tag, scrambled(content, inner, next));
    }
    lists.set(tag >>> 3, [...(lists.get(tag >>> 3) ?? []), raw]);
  }
  for (let i = next(3); i > 0; i--) lists.set(1000 + next(1000), [unknownField(next)]);
  // Fields of one number keep their order.
  const order = [...lists.values()].flatMap((list) => list.map(() => list));
  for (let i = order.length - 1; i > 0; i--) {
    const j = next(i + 1);
    [order[i], order[j]] = [order[j] as Uint8Array[], order[i] as Uint8Array[]];
  }
  return Buffer.concat(order.map((list) => list.shift() as Uint8Array));
}

function lengthDelimited(tag: number, content: Uint8Array): Buffer {
  return Buffer.from(protobuf.Writer.create().uint32(tag).bytes(content).finish());
}

function unknownField(next: (below: number) => number): Uint8Array {
  const number = 200 + next(1000);
  const writer = protobuf.Writer.create();
  const kinds = [
    () => writer.uint32(number * 8).uint32(next(2 ** 31)),
    () => writer.uint32(number * 8 + 1).double(next(1000) / 7),
    () => writer.uint32(number * 8 + 2).bytes(Buffer.alloc(next(200), next(256))),
    () => writer.uint32(number * 8 + 5).float(next(1000) / 7),
    // A group with a field in it.
    () =>
      writer
        .uint32(number * 8 + 3)
        .uint32(8)
        .uint32(next(300))
        .uint32(number * 8 + 4),
  ];
  kinds[next(kinds.length)]?.();
  return Buffer.from(writer.finish());
}
