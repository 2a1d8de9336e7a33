// Files that are no models, or broken ones: each is refused in one sentence, or read so that
// `checkModel` can name what is wrong.

import {
  chmodSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import protobuf from 'protobufjs';
import { XformError } from '../../src/errors/error.ts';
import { allGraphs, checkModel, type Model } from '../../src/graph/index.ts';
import { decodeModel, encodeModel, readModel } from '../../src/onnx/index.ts';
import { encode } from './everything.ts';
import { messageOf } from './schema.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform bad '));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refused(action: () => unknown): XformError {
  try {
    action();
  } catch (error) {
    if (error instanceof XformError) {
      expect(error.kind).toBe('model');
      expect(error.message).toMatch(/^[^\n]*[^.\n]$/);
      return error;
    }
    throw error;
  }
  throw new Error('it was read');
}

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const HEAD = { ir_version: 8, opset_import: [{ domain: '', version: 17 }] };
const graphOf = (graph: object) => encode({ ...HEAD, graph });

describe('no model', () => {
  it('is told from a model', () => {
    expect(refused(() => readModel(join(folder, 'none.onnx'))).code).toBe('model-not-found');
    expect(refused(() => readModel(folder)).code).toBe('model-is-folder');
    expect(refused(() => readModel(file('empty.onnx', ''))).code).toBe('model-empty');
    for (const bytes of [
      Buffer.from('89504e470d0a1a0a0000000d4948445200000001', 'hex'),
      Buffer.from('not a model at all'),
      Buffer.from('PK\x03\x04'),
      new Uint8Array(100),
      new Uint8Array(100).fill(0xff),
      encode({ ir_version: 8 }),
      encode({ graph: { name: 'g' }, ir_version: 8 }),
    ]) {
      const error = refused(() => readModel(file('other.onnx', bytes)));
      expect(error.code).toBe('not-a-model');
      expect(error.where).toBe(join(folder, 'other.onnx'));
    }
  });

  (process.getuid?.() === 0 ? it.skip : it)('may be one that nobody may read', () => {
    const path = file('secret.onnx', graphOf({}));
    chmodSync(path, 0);
    expect(refused(() => readModel(path)).message).toContain('permission denied');
  });

  it('is a model cut off anywhere', () => {
    const bytes = readFileSync('fixtures/digits.onnx');
    for (let i = 1; i < 64; i++) {
      const part = bytes.subarray(0, Math.floor((bytes.length * i) / 64));
      const error = refused(() => readModel(file('part.onnx', part)));
      expect(['not-a-model', 'model-broken']).toContain(error.code);
    }
  });
});

/** Field 7 of ModelProto and 1, 5, 6 below it, again and again. */
function nestedGraphs(depth: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  const wrap = (number: number, more: number[] = []) => {
    const head = protobuf.Writer.create()
      .uint32(number * 8 + 2)
      .uint32(size + more.length);
    const bytes = Buffer.concat([head.finish(), Buffer.from(more)]);
    parts.push(bytes);
    size += bytes.length;
  };
  for (let i = 0; i < depth; i++) {
    // AttributeProto.g, NodeProto.attribute with an op_type before it, GraphProto.node.
    wrap(6);
    wrap(5);
    parts.push(Buffer.of(0x22, 1, 0x49));
    size += 3;
    wrap(1);
  }
  wrap(7);
  parts.push(encode(HEAD));
  return Buffer.concat(parts.reverse());
}

describe('nesting', () => {
  it('is followed as far as it is sane', async () => {
    const bytes = nestedGraphs(90);
    const model = decodeModel(bytes);
    expect([...allGraphs(model)].length).toBe(91);
    expect(decodeModel(await encodeModel(model)).opset).toBe(17);
  });

  it.each([101, 10_000, 100_000])('of %p graphs is refused', (depth) => {
    expect(refused(() => decodeModel(nestedGraphs(depth))).code).toBe('model-too-deep');
  });

  it('of types and of groups is refused', () => {
    let type: Uint8Array = new Uint8Array(0);
    for (let i = 0; i < 2000; i++) {
      const element = protobuf.Writer.create().uint32(10).bytes(type).finish();
      type = protobuf.Writer.create().uint32(34).bytes(element).finish();
    }
    const info = protobuf.Writer.create().uint32(10).string('x').uint32(18).bytes(type).finish();
    const graph = protobuf.Writer.create().uint32(90).bytes(info).finish();
    const bytes = protobuf.Writer.create().uint32(58).bytes(graph).finish();
    const model = Buffer.concat([encode(HEAD), bytes]);
    expect(refused(() => decodeModel(model)).code).toBe('model-too-deep');
    const groups = Buffer.concat([graphOf({}), Buffer.alloc(100_000, 0x9b)]);
    expect(refused(() => decodeModel(groups)).kind).toBe('model');
  });
});

describe('lengths', () => {
  it('beyond the file are refused, whatever they say', () => {
    for (const length of [100, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 40, 2 ** 53]) {
      const varint: number[] = [];
      let rest = BigInt(length);
      for (; rest > 127n; rest >>= 7n) varint.push(Number(rest & 127n) | 128);
      varint.push(Number(rest));
      for (const inside of [[0x3a], [0x3a, 12, 0x2a], [0x3a, 12, 0x2a, 10, 0x4a]]) {
        const bytes = Buffer.concat([encode(HEAD), Buffer.from([...inside, ...varint, 1, 2])]);
        expect(refused(() => decodeModel(bytes)).message).toMatch(/bytes, but \d+ are left|number/);
      }
    }
  });

  it('of tensors take no memory before someone reads them', () => {
    const dims = [2 ** 20, 2 ** 20];
    const model = decodeModel(
      graphOf({ initializer: [{ name: 'w', dims, data_type: 1, raw_data: Buffer.alloc(8) }] }),
    );
    expect(checkModel(model).map((p) => p.code)).toEqual(['data-size']);
  });

  it.each([[[-1]], [[2 ** 40, 2 ** 40]], [['9223372036854775807']]])('%j are no shape', (dims) => {
    const bytes = graphOf({ initializer: [{ name: 'w', dims, data_type: 1 }] });
    expect(refused(() => decodeModel(bytes)).message).toContain('no shape');
  });
});

describe('a graph that contradicts itself', () => {
  const codes = (model: Model) => checkModel(model).map((problem) => problem.code);
  const node = (input: string[], output: string[], more: object = {}) => ({
    op_type: 'Sum',
    input,
    output,
    ...more,
  });

  it('is read, and its faults are named', async () => {
    const cases: [string[], object][] = [
      [['cycle'], { node: [node(['b'], ['a']), node(['a'], ['b'])] }],
      [['cycle'], { node: [node(['a'], ['a'])] }],
      [['duplicate-name'], { node: [node([], ['a']), node([], ['a'])] }],
      [['duplicate-name'], { input: [{ name: 'x' }, { name: 'x' }] }],
      [['undefined-input'], { node: [node(['ghost', 'ghost'], ['a'])] }],
      [['undefined-output'], { output: [{ name: 'ghost' }] }],
      [[], { node: [node(['b'], ['c']), node([], ['b'])], output: [{ name: 'c' }] }],
    ];
    for (const [expected, graph] of cases) {
      const bytes = graphOf(graph);
      const model = decodeModel(bytes);
      expect([...new Set(codes(model))]).toEqual(expected);
      expect(messageOf(await encodeModel(model))).toEqual(messageOf(bytes));
    }
  });

  it('is refused where it cannot be held', () => {
    const attribute = [
      { name: 'a', i: 1, type: 2 },
      { name: 'a', i: 2, type: 2 },
    ];
    const bytes = graphOf({ node: [node([], ['y'], { attribute })] });
    expect(refused(() => decodeModel(bytes)).code).toBe('duplicate-attribute');
    expect(refused(() => decodeModel(graphOf({ node: [{}] }))).message).toContain('no operator');
    const unnamed = graphOf({ initializer: [{ dims: [], data_type: 1 }] });
    expect(refused(() => decodeModel(unnamed)).message).toContain('no name');
  });

  it('names what is right, if strange', async () => {
    const names = ['a b', 'größe', '名前/0:1', '\u{1f600}', '"', "'", '\n', '\ufeff', '\ufffd'];
    const bytes = graphOf({
      input: names.map((name) => ({ name })),
      output: [{ name: 'y' }],
      node: [node(names, ['y'])],
    });
    const model = decodeModel(bytes);
    expect(model.graph.inputs.map((value) => value.name)).toEqual(names);
    expect(codes(model)).toEqual([]);
    const custom = decodeModel(
      encode({ ir_version: 99, opset_import: [{ version: 999 }], graph: { name: '' } }),
    );
    expect([custom.irVersion, custom.opset]).toEqual([99, 999]);
  });

  it('keeps names that are no text apart, and writes them as they were', async () => {
    const odd = [[0xff], [0xfe], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0x41, 0x80]];
    const inputs = odd.map((name) => {
      const info = protobuf.Writer.create().uint32(10).bytes(Uint8Array.from(name)).finish();
      return protobuf.Writer.create().uint32(90).bytes(info).finish();
    });
    const graph = protobuf.Writer.create().uint32(58).bytes(Buffer.concat(inputs)).finish();
    const bytes = Buffer.concat([encode(HEAD), graph]);
    const model = decodeModel(bytes);
    const seen = model.graph.inputs.map((value) => value.name);
    expect(new Set(seen).size).toBe(odd.length);
    expect(codes(model)).toEqual([]);
    for (const value of model.graph.inputs) value.name = `${value.name}!`;
    const renamed = decodeModel(await encodeModel(model));
    expect(renamed.graph.inputs.map((value) => value.name)).toEqual(seen.map((n) => `${n}!`));
    for (const value of renamed.graph.inputs) value.name = value.name.slice(0, -1);
    const back = Buffer.from(await encodeModel(renamed));
    for (const name of odd)
      expect(back.includes(Buffer.from([0x0a, name.length, ...name]))).toBe(true);
  });
});

describe('a file beyond 4 GB', () => {
  it('has its offsets right', () => {
    // 5 GB of raw_data that take no space on disk, and a graph output behind them.
    const path = join(folder, 'huge.onnx');
    const gap = 5 * 2 ** 30;
    const field = (number: number, length: number) => {
      const bytes = [number * 8 + 2];
      let rest = length;
      for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
      return Buffer.from([...bytes, rest]);
    };
    const shape = Buffer.from([8, 0x80, 0x80, 0x80, 0x80, 0x14, 16, 2, 0x42, 1, 0x77]);
    const raw = field(9, gap);
    const tensorBytes = shape.length + raw.length + gap;
    const tail = Buffer.from([0x62, 3, 0x0a, 1, 0x77]);
    const tensor = field(5, tensorBytes);
    const graph = field(7, tensor.length + tensorBytes + tail.length);
    const head = Buffer.concat([encode(HEAD), graph, tensor, shape, raw]);
    const fd = openSync(path, 'w');
    writeSync(fd, head, 0, head.length, 0);
    writeSync(fd, Buffer.of(7), 0, 1, head.length + gap - 1);
    writeSync(fd, tail, 0, tail.length, head.length + gap);
    const { graph: read } = readModel(path);
    const data = read.outputs[0]?.data;
    expect(data?.shape).toEqual([gap]);
    const source = data?.source;
    if (!source || !('read' in source)) throw new Error('no bytes');
    expect([...source.read(gap - 2, 2)]).toEqual([0, 7]);
    rmSync(path);
  });
});
