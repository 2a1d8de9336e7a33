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
  const entries = Object.entries(value).map(([key, item]) => [key, plain(item)] as const);
  const unknowns = (value as { $unknowns?: unknown }).$unknowns;
  return Object.fromEntries(unknowns ? [...entries, ['$unknowns', plain(unknowns)]] : entries);
}
