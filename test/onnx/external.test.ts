// Weights in files beside the model: found where they may be, refused where they may not.

import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { XformError } from '../../src/errors/error.ts';
import { decodeModel, encodeModel, readModel, writeModel } from '../../src/onnx/index.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { sharedPath } from '../helpers/shared.ts';
import { messageOf, schema } from './schema.ts';
import { derived, filled, sumOf, weightOf } from './weights.ts';

const root = mkdtempSync(join(tmpdir(), 'xform external ü-'));
let folder = '';
let count = 0;
beforeEach(() => {
  count += 1;
  folder = join(root, String(count), 'model');
  mkdirSync(folder, { recursive: true });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Writes a model with one external tensor of 4 floats. */
function writeReference(entries: Readonly<Record<string, string>>, dims = [4]): string {
  const type = schema.lookupType('onnx.ModelProto');
  const external_data = Object.entries(entries).map(([key, value]) => ({ key, value }));
  const message = {
    ir_version: 8,
    opset_import: [{ domain: '', version: 17 }],
    graph: {
      name: 'g',
      initializer: [{ name: 'w', dims, data_type: 1, data_location: 1, external_data }],
      node: [{ op_type: 'Identity', input: ['w'], output: ['y'] }],
      output: [{ name: 'y', type: { tensor_type: { elem_type: 1 } } }],
    },
  };
  const path = join(folder, 'm.onnx');
  writeFileSync(path, type.encode(type.fromObject(message)).finish());
  return path;
}

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

function refusal(action: () => unknown): XformError {
  try {
    action();
  } catch (error) {
    if (error instanceof XformError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('a data file', () => {
  it('is read from offset to length, and without them', () => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'sub', 'w.bin'), floats(9, 1, 2, 3, 4, 9));
    const location = 'sub/w.bin';
    const read = (entries: object) =>
      weightOf(readModel(writeReference({ location, ...entries })), 'w');
    expect(read({ offset: '4', length: '16', checksum: 'abc' })).toEqual([1, 2, 3, 4]);
    expect(read({ offset: '8' })).toEqual([2, 3, 4, 9]);
    expect(read({})).toEqual([9, 1, 2, 3]);
    expect(read({ location: './sub/../sub/w.bin' })).toEqual([9, 1, 2, 3]);
  });

  it.each([
    ['../w.bin'],
    ['sub/../../w.bin'],
    ['/etc/hostname'],
    ['..'],
    ['C:\\w.bin'],
    ['\\\\server\\w.bin'],
    ['w.bin\0'],
    ['.'],
    [''],
  ])('at %j is refused', (location) => {
    writeFileSync(join(folder, '..', 'w.bin'), floats(1, 2, 3, 4));
    const error = refusal(() => readModel(writeReference({ location })));
    expect(error.code).toBe('external-data-outside');
    expect(error.where).toContain('tensor "w"');
  });

  it('behind a symbolic link that leaves the folder is refused', () => {
    writeFileSync(join(folder, '..', 'w.bin'), floats(1, 2, 3, 4));
    symlinkSync('../w.bin', join(folder, 'link.bin'));
    symlinkSync('..', join(folder, 'up'));
    for (const location of ['link.bin', 'up/w.bin']) {
      const error = refusal(() => readModel(writeReference({ location })));
      expect(error.code).toBe('external-data-outside');
    }
  });

  it('is found in a cache of links, as Hugging Face keeps them', () => {
    const path = writeReference({ location: 'w.bin' });
    writeFileSync(join(folder, 'w.bin'), floats(1, 2, 3, 4));
    const [blobs, snapshot] = [join(folder, 'blobs'), join(folder, 'snapshot')];
    for (const made of [blobs, snapshot]) mkdirSync(made);
    copyFileSync(path, join(blobs, 'abc'));
    copyFileSync(join(folder, 'w.bin'), join(blobs, 'def'));
    symlinkSync('../blobs/abc', join(snapshot, 'm.onnx'));
    symlinkSync('../blobs/def', join(snapshot, 'w.bin'));
    expect(weightOf(readModel(join(snapshot, 'm.onnx')), 'w')).toEqual([1, 2, 3, 4]);
  });

  it('is named when it is missing, too short or no file', () => {
    const location = 'w.bin';
    const missing = refusal(() => readModel(writeReference({ location })));
    expect(missing.code).toBe('external-data-missing');
    expect(missing.message).toContain('"w.bin"');
    writeFileSync(join(folder, 'w.bin'), floats(1, 2, 3));
    const short = refusal(() => readModel(writeReference({ location })));
    expect(short.message).toContain('up to byte 16 of "w.bin"');
    expect(short.message).toContain('12 bytes');
    const late = refusal(() => readModel(writeReference({ location, offset: '999999999999' })));
    expect(late.code).toBe('external-data-too-short');
    for (const offset of ['-1', '1e3', '0x10', '99999999999999999999']) {
      expect(refusal(() => readModel(writeReference({ location, offset }))).code).toBe(
        'model-broken',
      );
    }
    mkdirSync(join(folder, 'd'));
    expect(refusal(() => readModel(writeReference({ location: 'd' }))).kind).toBe('model');
  });

  it('is not looked for when the model is in memory, until someone wants it', () => {
    writeFileSync(join(folder, 'w.bin'), floats(1, 2, 3, 4));
    const bytes = readFileSync(writeReference({ location: 'w.bin' }));
    const model = decodeModel(bytes);
    expect(model.graph.nodeCount).toBe(1);
    expect(refusal(() => weightOf(model, 'w')).code).toBe('external-data-unavailable');
    expect(weightOf(decodeModel(bytes, { folder }), 'w')).toEqual([1, 2, 3, 4]);
  });
});

describe('writing', () => {
  const big = filled([4, 256], 1);

  it('puts weights of 1 KiB and more into one file, on pages', async () => {
    const path = join(folder, 'out.onnx');
    const computed = filled([300], 3);
    const model = sumOf({
      a: big,
      small: filled([4], 2),
      b: derived([300], () => computed.load()),
    });
    const summary = await writeModel(model, path, { externalData: true });
    expect(readdirSync(folder).sort()).toEqual(['out.onnx', 'out.onnx.data']);
    expect(summary).toEqual({
      path,
      bytes: statSync(path).size,
      dataPath: join(folder, 'out.onnx.data'),
      dataBytes: 4096 + 1200,
    });
    const [a, small, b] = (messageOf(readFileSync(path))['graph'] as never)[
      'initializer'
    ] as object[];
    const entries = (offset: number, length: number) => [
      { key: 'location', value: 'out.onnx.data' },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(length) },
    ];
    expect(a).toMatchObject({ name: 'a', data_location: 1, external_data: entries(0, 4096) });
    expect(b).toMatchObject({ name: 'b', data_location: 1, external_data: entries(4096, 1200) });
    expect(small).toEqual({
      dims: ['4'],
      data_type: 1,
      name: 'small',
      raw_data: Buffer.from(filled([4], 2).bytes()).toString('base64'),
    });
    const again = readModel(path);
    expect(weightOf(again, 'a')).toEqual(Array.from(big.numbers()));
    expect(weightOf(again, 'b')).toEqual(Array.from(computed.numbers()));
  });

  it('makes what onnxruntime runs', async () => {
    const path = join(folder, 'out.onnx');
    await writeModel(sumOf({ a: filled([1024, 4, 4], 1.5) }), path, { externalData: true });
    const session = await InferenceSession.create(path);
    const x = new OrtTensor('float32', new Float32Array(16).fill(1), [4, 4]);
    const { y } = await session.run({ x });
    expect(Array.from((y as OrtTensor).data as Float32Array, (v) => v === 2.5)).not.toContain(
      false,
    );
    await session.release();
  });

  it('shares what is the same', async () => {
    const path = join(folder, 'out.onnx');
    const { dataBytes } = await writeModel(sumOf({ a: big, b: big.reshape([256, 4]) }), path, {
      externalData: true,
    });
    expect(dataBytes).toBe(4096);
    expect(weightOf(readModel(path), 'b')).toEqual(big.numbers());
  });

  it('needs no data file for small weights', async () => {
    const path = join(folder, 'out.onnx');
    await writeModel(sumOf({ a: filled([4], 1) }), path, { externalData: true });
    expect(readdirSync(folder)).toEqual(['out.onnx']);
  });

  it('brings typed payloads into the form of the file', async () => {
    const type = schema.lookupType('onnx.ModelProto');
    const ints = Array.from({ length: 1200 }, (_, i) => ((i * 7) % 256) - 128);
    const message = {
      ir_version: 8,
      opset_import: [{ version: 17 }],
      graph: {
        initializer: [
          { name: 'f', dims: [600], data_type: 1, float_data: ints.slice(0, 600), doc_string: 'd' },
          { name: 'i', dims: [1200], data_type: 3, int32_data: ints },
          { name: 'l', dims: [1200], data_type: 7, int64_data: ints },
        ],
      },
    };
    const path = join(folder, 'out.onnx');
    await writeModel(decodeModel(type.encode(type.fromObject(message)).finish()), path, {
      externalData: true,
    });
    const again = readModel(path);
    expect(weightOf(again, 'f')).toEqual(ints.slice(0, 600));
    expect(weightOf(again, 'i')).toEqual(ints);
    expect(weightOf(again, 'l')).toEqual(ints);
    const [f] = (messageOf(readFileSync(path))['graph'] as never)['initializer'] as object[];
    expect(f).toMatchObject({ doc_string: 'd', data_location: 1 });
  });

  it('takes external weights back in', async () => {
    const outside = join(folder, 'a.onnx');
    const inside = join(folder, 'b.onnx');
    const model = sumOf({ a: big, t: Tensor.of('int8', [2000], new Int8Array(2000).fill(-3)) });
    await writeModel(model, outside, { externalData: true });
    await writeModel(readModel(outside), inside);
    expect(readdirSync(folder).sort()).toEqual(['a.onnx', 'a.onnx.data', 'b.onnx']);
    expect(messageOf(readFileSync(inside))).toEqual(messageOf(await encodeModel(model)));
  });

  it('reads what PyTorch wrote', async () => {
    const real = sharedPath('models', 'hate_speech.onnx');
    if (!real) return;
    const model = readModel(real);
    const path = join(folder, 'out.onnx');
    await writeModel(model, path, { externalData: true });
    const written = readModel(path);
    const tensors = (m: typeof model) =>
      [...m.graph.initializers].map((v) => [v.name, v.data?.bytes()]);
    expect(tensors(written)).toEqual(tensors(model));
    const session = await InferenceSession.create(path);
    expect(session.outputNames).toEqual(model.graph.outputs.map((value) => value.name));
    await session.release();
  });
});
