import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { npy, npz } from '../../src/data/arrays.ts';
import type { Batch, Dataset, InputSpec } from '../../src/data/dataset.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { symbol } from '../../src/graph/index.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import { npyBytes, npzBytes } from './npy.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-arrays-'));
afterAll(() => rmSync(folder, { recursive: true }));

const N = symbol('N');
const spec = (name: string, dtype: DType, ...shape: InputSpec['shape']): InputSpec => ({
  name,
  dtype,
  shape,
});
let files = 0;

function open(
  bytes: Uint8Array,
  inputs: InputSpec | InputSpec[],
  options: Partial<DataOptions> = {},
): Promise<Dataset> {
  const kind = bytes[0] === 0x50 ? npz : npy;
  files += 1;
  const path = join(folder, `data${files}.${kind === npz ? 'npz' : 'npy'}`);
  writeFileSync(path, bytes);
  return kind.open({ path, inputs: [inputs].flat(), options: { seed: 0, ...options } });
}

async function batchesOf(dataset: Dataset, size = 100): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of dataset.batches(size)) batches.push(batch);
  return batches;
}

/** All values that one input gets, in order. */
async function fed(dataset: Dataset, name = 'x', size = 100): Promise<number[]> {
  const batches = await batchesOf(dataset, size);
  return batches.flatMap(({ feeds }) => {
    const tensor = feeds.get(name);
    return tensor ? Array.from(elementsOf(tensor) as ArrayLike<number | bigint>, Number) : [];
  });
}

const f32 = (...values: number[]) => Float32Array.from(values);
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('npy', () => {
  it.each<[string, DType, ArrayBufferView, number[]]>([
    ['<f4', 'float32', f32(1.5, -2), [1.5, -2]],
    ['<f8', 'float64', Float64Array.of(0.1, 1e300), [0.1, 1e300]],
    ['<f2', 'float16', Uint16Array.of(0x3c00, 0xc100), [1, -2.5]],
    ['|i1', 'int8', Int8Array.of(-128, 127), [-128, 127]],
    ['<i2', 'int16', Int16Array.of(-3, 4), [-3, 4]],
    ['<i4', 'int32', Int32Array.of(-3, 4), [-3, 4]],
    ['<i8', 'int64', BigInt64Array.of(-3n, 4n), [-3, 4]],
    ['|u1', 'uint8', Uint8Array.of(0, 255), [0, 255]],
    ['<u2', 'uint16', Uint16Array.of(0, 65535), [0, 65535]],
    ['<u4', 'uint32', Uint32Array.of(1, 2), [1, 2]],
    ['<u8', 'uint64', BigUint64Array.of(1n, 2n), [1, 2]],
    ['|b1', 'bool', Uint8Array.of(1, 0), [1, 0]],
    ['>f4', 'float32', Uint8Array.of(0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0), [1.5, -2]],
    ['>i8', 'int64', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 7, ...new Uint8Array(7), 9), [7, 9]],
  ])('reads %s as %s', async (descr, dtype, elements, expected) => {
    for (const version of [1, 2]) {
      const bytes = npyBytes(descr, [2, 1], elements, { version });
      const [batch] = await batchesOf(await open(bytes, spec('x', dtype, N, 1)));
      expect(batch?.feeds.get('x')?.dtype).toBe(dtype);
      expect(batch?.feeds.get('x')?.shape).toEqual([2, 1]);
      expect(await fed(await open(bytes, spec('x', dtype, N, 1)))).toEqual(expected);
    }
  });

  it('reads strings of both kinds', async () => {
    const utf32 = Uint32Array.from(['ä', 'b', '', '𝒳', '', ''].map((c) => c.codePointAt(0) ?? 0));
    const texts = async (bytes: Uint8Array) => {
      const [batch] = await batchesOf(await open(bytes, spec('x', 'string', N)));
      const source = batch?.feeds.get('x')?.source;
      return source && 'strings' in source
        ? source.strings.map((s) => new TextDecoder().decode(s))
        : [];
    };
    expect(await texts(npyBytes('<U3', [2], utf32))).toEqual(['äb', '𝒳']);
    expect(await texts(npyBytes('|S2', [2], Buffer.from('abc\0')))).toEqual(['ab', 'c']);
  });

  it('reads rows of an array in Fortran order', async () => {
    // a[i, j, k] = 100 i + 10 j + k, i < 4, j < 2, k < 3; i runs fastest in the file.
    const at = (i: number, j: number, k: number) => 100 * i + 10 * j + k;
    const stored = range(3).flatMap((k) =>
      range(2).flatMap((j) => range(4).map((i) => at(i, j, k))),
    );
    const bytes = npyBytes('<f4', [4, 2, 3], f32(...stored), { fortran: true });
    const expected = range(4).flatMap((i) =>
      range(2).flatMap((j) => range(3).map((k) => at(i, j, k))),
    );
    const dataset = await open(bytes, spec('x', 'float32', N, 2, 3));
    expect(await fed(dataset)).toEqual(expected);
    expect(await fed(dataset, 'x', 3)).toEqual(expected);
  });

  it('cuts batches, and fills up the last of a model with a fixed batch', async () => {
    const bytes = npyBytes('<f4', [5, 2], f32(...range(10)));
    const free = await batchesOf(await open(bytes, spec('x', 'float32', N, 2)), 2);
    expect(free.map((b) => [b.count, b.feeds.get('x')?.shape])).toEqual([
      [2, [2, 2]],
      [2, [2, 2]],
      [1, [1, 2]],
    ]);
    const fixed = await open(bytes, spec('x', 'float32', 3, 2));
    expect((await batchesOf(fixed, 1)).map((b) => b.count)).toEqual([3, 2]);
    expect(await fed(fixed)).toEqual([...range(10), 8, 9]);
  });

  it('feeds samples one by one to an input without a batch axis', async () => {
    const dataset = await open(npyBytes('<f4', [3, 2], f32(...range(6))), spec('x', 'float32', 2));
    const batches = await batchesOf(dataset);
    expect(batches.map((b) => b.feeds.get('x')?.shape)).toEqual([[2], [2], [2]]);
    const scalar = await open(npyBytes('<i8', [], BigInt64Array.of(16000n)), spec('sr', 'int64'));
    expect(await fed(scalar, 'sr')).toEqual([16000]);
  });

  it('takes an array without batch axis for one sample', async () => {
    const dataset = await open(
      npyBytes('<f4', [2, 3], f32(...range(6))),
      spec('x', 'float32', 1, 2, 3),
    );
    const [batch] = await batchesOf(dataset);
    expect(batch?.feeds.get('x')?.shape).toEqual([1, 2, 3]);
    expect(dataset.length).toBe(1);
  });

  it('scales images to 0…1 for float inputs, or as told', async () => {
    const image = npyBytes('|u1', [1, 1, 1, 3], Uint8Array.of(0, 51, 255));
    const input = spec('x', 'float32', N, 1, 1, 3);
    expect(await fed(await open(image, input))).toEqual([0, f32(0.2)[0], 1]);
    expect(await fed(await open(image, input, { scale: 255 }))).toEqual([0, 51, 255]);
    expect(await fed(await open(image, spec('x', 'uint8', N, 1, 1, 3)))).toEqual([0, 51, 255]);
    expect((await open(image, input)).summary).toMatch(/scaled by 0.00392157, as float32/);
    // A vector of counts is no image.
    const counts = npyBytes('|u1', [1, 3], Uint8Array.of(0, 51, 255));
    expect(await fed(await open(counts, spec('x', 'float32', N, 3)))).toEqual([0, 51, 255]);
    expect(await fed(await open(counts, spec('x', 'float32', N, 3), { scale: 5 }))).toEqual([
      0, 1, 5,
    ]);
  });

  it('normalises after scaling, per channel in either layout', async () => {
    const bytes = npyBytes('|u1', [1, 1, 2, 2], Uint8Array.of(0, 255, 255, 0));
    const normalize = { mean: [0.5, 0], std: [0.25, 2] };
    const nhwc = await open(bytes, spec('x', 'float32', N, 1, 2, 2), { normalize });
    expect(await fed(nhwc)).toEqual([-2, 0.5, 2, 0]);
    const nchw = npyBytes('|u1', [1, 2, 1, 2], Uint8Array.of(0, 255, 255, 0));
    const dataset = await open(nchw, spec('x', 'float32', N, 2, 1, 2), { normalize });
    expect(await fed(dataset)).toEqual([-2, 2, 0.5, 0]);
    const one = await open(nchw, spec('x', 'float32', N, 2, 1, 2), {
      normalize: { mean: [1], std: [2] },
    });
    expect(await fed(one)).toEqual([-0.5, 0, 0, -0.5]);
    await expect(
      open(nchw, spec('x', 'float32', N, 2, 1, 2), {
        normalize: { mean: [1, 1, 1], std: [1, 1, 1] },
      }),
    ).rejects.toMatchObject({ message: '--normalize gives 3 means, but a sample is [2, 1, 2]' });
  });

  it('moves channels, adds and drops axes of size 1, flattens', async () => {
    const hwc = npyBytes('<f4', [1, 2, 2, 3], f32(...range(12)));
    const chw = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11];
    expect(await fed(await open(hwc, spec('x', 'float32', N, 3, 2, 2)))).toEqual(chw);
    const any = spec('x', 'float32', N, symbol('a'), symbol('b'), symbol('c'));
    expect(await fed(await open(hwc, any))).toEqual(range(12));
    expect(await fed(await open(hwc, any, { layout: 'nchw' }))).toEqual(chw);
    expect(await fed(await open(hwc, any, { layout: 'nhwc' }))).toEqual(range(12));
    const back = npyBytes('<f4', [1, 3, 2, 2], f32(...chw));
    expect(await fed(await open(back, spec('x', 'float32', N, 2, 2, 3)))).toEqual(range(12));

    const gray = npyBytes('<f4', [2, 2, 3], f32(...range(12)));
    for (const shape of [[1, 2, 3], [2, 3, 1], [6]]) {
      const [batch] = await batchesOf(await open(gray, spec('x', 'float32', N, ...shape)));
      expect(batch?.feeds.get('x')?.shape).toEqual([2, ...shape]);
    }
    const [batch] = await batchesOf(await open(gray, any));
    expect(batch?.feeds.get('x')?.shape).toEqual([2, 1, 2, 3]);
  });

  it('reads single rows of a file larger than memory would like', async () => {
    // 3 GB, all of it a hole but the header and the last element.
    const rows = 300_000;
    const header = npyBytes('<f4', [rows, 2500], new Uint8Array());
    const path = join(folder, 'large.npy');
    const file = openSync(path, 'w');
    writeSync(file, header, 0, header.length, 0);
    writeSync(file, new Uint8Array(f32(7).buffer), 0, 4, header.length + (rows * 2500 - 1) * 4);
    closeSync(file);
    const before = process.memoryUsage().rss;
    const options = { seed: 0, split: 0.5, part: 'rest' as const, limit: 4 };
    const dataset = await npy.open({ path, inputs: [spec('x', 'float32', N, 2500)], options });
    expect(await fed(dataset)).toEqual(new Array(10_000).fill(0));
    expect(process.memoryUsage().rss - before).toBeLessThan(1e9);
    rmSync(path);
  });

  it('casts numbers, and refuses casts that lose something', async () => {
    const whole = npyBytes('<f8', [2], Float64Array.of(3, -4));
    expect(await fed(await open(whole, spec('x', 'int64', N)))).toEqual([3, -4]);
    expect(await fed(await open(whole, spec('x', 'float16', N)))).toEqual([3, -4]);
    expect(await fed(await open(whole, spec('x', 'bfloat16', N)))).toEqual([3, -4]);
    for (const [values, dtype] of [
      [[0.5], 'int64'],
      [[300], 'uint8'],
      [[-1], 'uint32'],
      [[Number.NaN], 'int32'],
    ] as const) {
      const bytes = npyBytes('<f8', [1], Float64Array.from(values));
      const dataset = await open(bytes, spec('x', dtype, N));
      await expect(fed(dataset)).rejects.toMatchObject({
        kind: 'data',
        message: `the array is float64, but input "x" takes ${dtype}`,
      });
    }
    const text = npyBytes('|S1', [1], Buffer.from('a'));
    await expect(open(text, spec('x', 'float32', N))).rejects.toMatchObject({ kind: 'data' });
  });

  it('says which array does not fit, and how', async () => {
    const bytes = npyBytes('<f4', [2, 3], f32(...range(6)));
    await expect(open(bytes, spec('x', 'float32', N, 4))).rejects.toMatchObject({
      code: 'data-shape',
      message: 'the array is [2, 3], which does not fit input "x" float32 [N, 4]',
      where: expect.stringMatching(/data\d+\.npy$/),
    });
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['other bytes', Buffer.from('not an array at all'), /not a NumPy array/],
    ['an empty file', new Uint8Array(), /not a NumPy array/],
    ['a short header', npyBytes('<f4', [1], f32(1)).subarray(0, 20), /ends within its header/],
    ['missing elements', npyBytes('<f4', [3], f32(1)), /take 12 bytes, but 4 are there/],
    ['pickled objects', npyBytes('|O', [1], f32(1)), /type is "\|O"/],
    ['dates', npyBytes('<M8[ns]', [1], f32(1, 1)), /type is "<M8\[ns\]"/],
    ['huge sizes', npyBytes('<f4', [1e9, 1e9], f32(1)), /take 4000000000000000000 bytes/],
    ['impossible sizes', npyBytes('<f4', [-1], f32(1)), /shape is/],
  ])('refuses %s', async (_, bytes, message) => {
    const request = { inputs: [spec('x', 'float32', N)], options: { seed: 0 } };
    const path = join(folder, 'broken.npy');
    writeFileSync(path, bytes);
    await expect(npy.open({ path, ...request })).rejects.toMatchObject({
      kind: 'data',
      message: expect.stringMatching(message),
    });
  });
});

describe('npz', () => {
  const ab = {
    a: npyBytes('<f4', [3, 1], f32(1, 2, 3)),
    b: npyBytes('<i8', [3], BigInt64Array.of(4n, 5n, 6n)),
    labels: npyBytes('<i8', [3], BigInt64Array.of(0n, 1n, 2n)),
    other: npyBytes('<f4', [7], f32(...range(7))),
  };
  const inputs = [spec('b', 'int64', N), spec('a', 'float32', N, 1)];

  it.each([0, 6] as const)('feeds entries by name, at compression level %d', async (level) => {
    const dataset = await open(npzBytes(ab, level), inputs);
    expect(await fed(dataset, 'a')).toEqual([1, 2, 3]);
    expect(await fed(dataset, 'b')).toEqual([4, 5, 6]);
    const [batch] = await batchesOf(dataset, 2);
    expect([...(batch?.targets.keys() ?? [])]).toEqual(['labels']);
    expect(batch?.targets.get('labels')?.numbers()).toEqual([0, 1]);
  });

  it('feeds the only array to the only input, and numbered ones in order', async () => {
    const one = await open(npzBytes({ images: ab.a, y: ab.labels }), spec('in', 'float32', N, 1));
    expect(await fed(one, 'in')).toEqual([1, 2, 3]);
    const two = npzBytes({ arr_0: ab.b, arr_1: ab.a, arr_2: ab.labels });
    expect(await fed(await open(two, inputs), 'a')).toEqual([1, 2, 3]);
  });

  it('feeds an array of just the right shape to every batch', async () => {
    const state = npyBytes('<f4', [2, 1], f32(8, 9));
    const dataset = await open(npzBytes({ a: ab.a, h: state }), [
      spec('a', 'float32', 1, 1),
      spec('h', 'float32', 2, 1),
    ]);
    expect(dataset.length).toBe(3);
    expect(await fed(dataset, 'h')).toEqual([8, 9, 8, 9, 8, 9]);
  });

  it('limits, splits by seed and takes a part', async () => {
    const many = npyBytes('<f4', [100, 1], f32(...range(100)));
    const x = spec('x', 'float32', N, 1);
    expect(await fed(await open(many, x, { limit: 3 }))).toEqual([0, 1, 2]);
    const part = async (which: 'train' | 'rest', seed = 0, limit?: number) =>
      fed(await open(many, x, { split: 0.8, part: which, seed, ...(limit ? { limit } : {}) }));
    const train = await part('train');
    const rest = await part('rest');
    expect([train.length, rest.length]).toEqual([80, 20]);
    expect([...train, ...rest].sort((a, b) => a - b)).toEqual(range(100));
    expect(train).not.toEqual(range(80));
    expect(await part('train')).toEqual(train);
    expect(await part('train', 1)).not.toEqual(train);
    // A limit takes from the part, so that the parts stay apart.
    expect(await part('rest', 0, 5)).toEqual(rest.slice(0, 5));
  });

  it('says which input has no array, and what there is', async () => {
    const wanted = [...inputs, spec('mask', 'int64', N)];
    await expect(
      open(npzBytes({ a: ab.a, b: ab.b, q: ab.a, r: ab.a }), wanted),
    ).rejects.toMatchObject({
      code: 'data-input-missing',
      message: 'the data has nothing for the model\'s input "mask"',
      where: expect.stringContaining('holds "a", "b", "q", "r"'),
    });
  });

  it('says which arrays differ in their number of samples', async () => {
    const short = npyBytes('<i8', [2], BigInt64Array.of(0n, 1n));
    await expect(open(npzBytes({ a: ab.a, b: short }), inputs)).rejects.toMatchObject({
      message: '"b" has 2 samples, but "a" has 3',
    });
    await expect(open(npzBytes({ a: ab.a, b: ab.b, y: short }), inputs)).rejects.toMatchObject({
      message: '"b" has 3 samples, but "y" has 2',
    });
  });

  it('names the damaged entry', async () => {
    const zip = npzBytes({ a: npyBytes('<f4', [64, 1], f32(...range(64))) }, 6);
    const damaged = Uint8Array.from(zip);
    damaged[60] = (damaged[60] ?? 0) ^ 0xff;
    await expect(open(damaged, spec('a', 'float32', N, 1))).rejects.toMatchObject({
      kind: 'data',
      where: expect.stringMatching(/entry "a/),
    });
  });

  it('refuses an archive cut off anywhere', async () => {
    const zip = npzBytes(ab, 6);
    for (let at = 1; at < 64; at++) {
      const cut = zip.slice(0, Math.floor((zip.length * at) / 64));
      await expect(open(cut, inputs)).rejects.toMatchObject({ kind: 'data' });
    }
  });

  it('never makes room for what an entry only claims to hold', async () => {
    const zip = Buffer.from(npzBytes(ab, 6));
    const directory = zip.indexOf('PK\x01\x02', 0, 'latin1');
    zip.writeUInt32LE(0xfffffff0, directory + 24);
    await expect(open(zip, inputs)).rejects.toMatchObject({
      message: expect.stringMatching(/claims 4294967280 bytes/),
    });
  });
});
