// Real files: reading and writing changes nothing, whether a part is copied or written anew. Two other
// readers say so: protobufjs with the whole schema, and onnx-proto where it knows the fields.

import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import onnxProto from 'onnx-proto';
import { allGraphs, type Graph } from '../../src/graph/index.ts';
import { decodeModel, decodeTensor, encodeModel, readModel } from '../../src/onnx/index.ts';
import { dtypeInfo } from '../../src/tensor/dtype.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { allModels, NODE_TESTS, realModels, unpacked } from './corpus.ts';
import { rename } from './rename.ts';
import { messageOf, reencoded } from './schema.ts';

const equalBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** The bytes name no file beside them. */
const isSelfContained = (bytes: Uint8Array) => !Buffer.from(bytes).includes('location');

function expectSame(before: Uint8Array, after: Uint8Array): void {
  expect(messageOf(after)).toEqual(messageOf(before));
  const { ModelProto } = onnxProto.onnx;
  const options = { longs: String, bytes: String } as const;
  const read = (bytes: Uint8Array) => ModelProto.toObject(ModelProto.decode(bytes), options);
  expect(read(after)).toEqual(read(before));
}

describe('a model that nothing changed', () => {
  it('comes out byte for byte, wherever its fields were in canonical order', async () => {
    let identical = 0;
    let canonical = 0;
    const files = allModels().filter((path) => isSelfContained(readFileSync(path)));
    const different: string[] = [];
    for (const path of files) {
      const before = readFileSync(path);
      const after = await encodeModel(readModel(path));
      const isCanonical = equalBytes(reencoded(before), before);
      canonical += Number(isCanonical);
      if (equalBytes(before, after)) identical += 1;
      else {
        if (isCanonical) different.push(path);
        expectSame(before, after);
      }
    }
    process.stdout.write(
      `${files.length} models, ${canonical} in canonical order, ${identical} byte-identical\n`,
    );
    expect(different).toEqual([]);
    expect(identical).toBeGreaterThanOrEqual(canonical);
  });
});

describe('a model that is written anew', () => {
  it('is the same message when names change there and back', async () => {
    const files = [...realModels(), ...unpacked(NODE_TESTS, '.onnx')];
    for (const path of files) {
      const before = readFileSync(path);
      if (!isSelfContained(before)) continue;
      const model = decodeModel(before, { path });
      rename(model, (name) => `${name}+`);
      const there = decodeModel(await encodeModel(model), { path });
      const names = there.graph.outputs.map((value) => value.name);
      expect(names).toEqual(model.graph.outputs.map((value) => value.name));
      rename(there, (name) => name.slice(0, -1));
      const back = await encodeModel(there);
      if (!equalBytes(back, before)) expectSame(before, back);
    }
  });

  it('is the same message when every attribute, type and tensor is a copy', async () => {
    for (const path of realModels()) {
      const before = readFileSync(path);
      if (!isSelfContained(before)) continue;
      const model = decodeModel(before, { path });
      for (const graph of allGraphs(model)) copyContent(graph);
      const after = await encodeModel(model);
      expect(withoutDetails(messageOf(after))).toEqual(withoutDetails(messageOf(before)));
    }
  });
});

function copyContent(graph: Graph): void {
  for (const node of graph.nodes) {
    for (const [name, attr] of node.attrs) {
      const { origin: _, ...bare } = attr;
      node.setAttr(name, bare.type === 'opaque' ? attr : (bare as typeof attr));
    }
  }
  for (const value of graph.initializers) {
    const { data } = value;
    if (data) value.data = new Tensor(data.dtype, data.shape, data.source);
  }
}

/** Without what belongs to an attribute or tensor that is no longer there, and payloads as bytes. */
function withoutDetails(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDetails);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'doc_string');
  const fields = Object.fromEntries(entries.map(([key, item]) => [key, withoutDetails(item)]));
  if (fields['data_type'] === undefined) return fields;
  for (const key of PAYLOADS) delete fields[key];
  return fields;
}
const PAYLOADS = [
  'float_data',
  'int32_data',
  'int64_data',
  'double_data',
  'uint64_data',
  'raw_data',
  'data_location',
];

describe('payloads', () => {
  const { TensorProto } = onnxProto.onnx;

  it('have the elements that onnx-proto reads, in whatever field they are', async () => {
    const files = unpacked(NODE_TESTS, '.pb');
    let typed = 0;
    for (const path of files) {
      const bytes = readFileSync(path);
      const proto = TensorProto.decode(bytes);
      if (!isTensorFile(path)) continue;
      const { name, tensor } = decodeTensor(bytes, basename(path));
      expect(name).toBe(proto.name);
      expect(tensor.shape).toEqual((proto.dims ?? []).map(Number));
      typed += Number(expectElements(tensor, proto));
    }
    process.stdout.write(`${files.length} tensor files, ${typed} with typed fields\n`);
  });

  it('in the weights of real models, too', () => {
    for (const path of realModels()) {
      const bytes = readFileSync(path);
      if (!isSelfContained(bytes)) continue;
      const proto = onnxProto.onnx.ModelProto.decode(bytes);
      const tensors = new Map(proto.graph?.initializer?.map((t) => [t.name, t]));
      for (const value of readModel(path).graph.initializers) {
        const expected = tensors.get(value.name);
        if (value.data && expected) expectElements(value.data, expected);
      }
    }
  });
});

/** Sequences and optionals are other messages. */
function isTensorFile(path: string): boolean {
  const [, side, index] = /(input|output)_(\d+)\.pb$/.exec(path) ?? [];
  const { graph } = readModel(join(dirname(path), '..', 'model.onnx'));
  const value = (side === 'input' ? graph.inputs : graph.outputs)[Number(index)];
  return value?.type?.kind === 'tensor';
}

/** Returns whether the payload was in a typed field. */
function expectElements(tensor: Tensor, proto: onnxProto.onnx.ITensorProto): boolean {
  if ('strings' in tensor.source) {
    expect(tensor.source.strings.map(String)).toEqual((proto.stringData ?? []).map(String));
    return true;
  }
  if (proto.rawData?.length) {
    expect(equalBytes(tensor.bytes(), proto.rawData)).toBe(true);
    return false;
  }
  const lists = [
    proto.floatData,
    proto.doubleData,
    proto.int32Data,
    proto.int64Data,
    proto.uint64Data,
  ];
  const elements = lists.find((list) => list?.length) ?? [];
  const { bits, kind } = dtypeInfo(tensor.dtype);
  const values = [...tensor.values()].map(String);
  const mask = bits >= 8 && kind !== 'uint' ? undefined : 2 ** Math.max(bits, 8) - 1;
  const expected = elements.map((element) => {
    const isBits = mask !== undefined && bits <= 16;
    return isBits ? String(Number(element) & mask) : String(element);
  });
  expect(values).toEqual(expected);
  return elements.length > 0;
}
