import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import onnx from 'onnx-proto';
import type { Batch, InputSpec } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open.ts';
import { parseNormalize, parseSplit } from '../../src/data/options.ts';
import { symbol } from '../../src/graph/index.ts';
import { npyBytes, npzBytes } from './npy.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-open-'));
afterAll(() => rmSync(folder, { recursive: true }));

const x: InputSpec = { name: 'x', dtype: 'float32', shape: [symbol('N'), 2] };
const k: InputSpec = { name: 'k', dtype: 'int64', shape: [] };

async function collect(spec: string, inputs: InputSpec[], options = {}, size = 2) {
  const dataset = await openDataset(spec, inputs, { seed: 0, ...options });
  const batches: Batch[] = [];
  for await (const batch of dataset.batches(size)) batches.push(batch);
  return { dataset, batches };
}

function tensorFile(name: string, dims: number[], values: number[] | bigint[]): Uint8Array {
  const raw =
    typeof values[0] === 'bigint'
      ? BigInt64Array.from(values as bigint[])
      : Float32Array.from(values as number[]);
  return onnx.onnx.TensorProto.encode({
    name,
    dims,
    dataType: typeof values[0] === 'bigint' ? 7 : 1,
    rawData: new Uint8Array(raw.buffer),
  }).finish();
}

describe('openDataset', () => {
  it('makes random batches until the limit, the same for the same seed', async () => {
    const { dataset, batches } = await collect('random', [x], { limit: 5 });
    expect(dataset.length).toBe(5);
    expect(batches.map((b) => b.feeds.get('x')?.shape)).toEqual([
      [2, 2],
      [2, 2],
      [2, 2],
    ]);
    const bytes = (list: Batch[]) => list.map((b) => [...(b.feeds.get('x')?.bytes() ?? [])]);
    expect(bytes((await collect('random', [x], { limit: 5 })).batches)).toEqual(bytes(batches));
    const other = await collect('random', [x], { limit: 5, seed: 1 });
    expect(bytes(other.batches)).not.toEqual(bytes(batches));
    expect(bytes(batches)[0]).not.toEqual(bytes(batches)[1]);
  });

  it('goes by the name of the file', async () => {
    const array = npyBytes('<f4', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
    writeFileSync(join(folder, 'a.npy'), array);
    writeFileSync(join(folder, 'a.npz'), npzBytes({ x: array }));
    writeFileSync(join(folder, 'a.csv'), 'p,q\n1,2\n3,4\n5,6\n');
    for (const name of ['a.npy', 'a.npz', 'a.csv']) {
      const { dataset, batches } = await collect(join(folder, name), [x]);
      expect(dataset.length).toBe(3);
      expect(batches.flatMap((b) => b.feeds.get('x')?.numbers())).toEqual([1, 2, 3, 4, 5, 6]);
      expect(dataset.summary).toContain(name);
    }
  });

  it('says what it can read when a name tells nothing', async () => {
    const path = join(folder, 'a.xyz');
    writeFileSync(path, '');
    await expect(openDataset(path, [x], { seed: 0 })).rejects.toMatchObject({
      kind: 'data',
      code: 'data-kind-unknown',
      hint: expect.stringContaining('.npz'),
    });
    await expect(openDataset(join(folder, 'b.npz'), [x], { seed: 0 })).rejects.toMatchObject({
      code: 'data-not-found',
    });
    await expect(openDataset(folder, [x], { seed: 0 })).rejects.toMatchObject({
      code: 'data-kind-unknown',
    });
  });
});

describe('ONNX test data', () => {
  const root = join(folder, 'sets');
  for (const i of [0, 1, 10, 2]) {
    const set = join(root, `test_data_set_${i}`);
    mkdirSync(set, { recursive: true });
    writeFileSync(join(set, 'input_0.pb'), tensorFile('x', [1, 2], [i, i + 0.5]));
    writeFileSync(join(set, 'input_1.pb'), tensorFile('k', [], [BigInt(i)]));
    writeFileSync(join(set, 'output_0.pb'), tensorFile('y', [1], [-i]));
  }

  it('is one run per set, in the order of their numbers', async () => {
    const { dataset, batches } = await collect(root, [k, x]);
    expect(dataset.length).toBe(4);
    expect(batches.map((b) => b.feeds.get('k')?.numbers())).toEqual([[0], [1], [2], [10]]);
    expect(batches.map((b) => b.feeds.get('x')?.numbers()[1])).toEqual([0.5, 1.5, 2.5, 10.5]);
    expect(batches.map((b) => b.targets.get('y')?.numbers()[0])).toEqual([-0, -1, -2, -10]);
  });

  it('goes by position where names do not help', async () => {
    const inputs = [
      { ...x, name: 'image' },
      { ...k, name: 'count' },
    ];
    const { batches } = await collect(root, inputs, { limit: 1 });
    expect(batches).toHaveLength(1);
    expect(batches[0]?.feeds.get('image')?.numbers()).toEqual([0, 0.5]);
  });

  it('opens one set alone', async () => {
    const { dataset } = await collect(join(root, 'test_data_set_2'), [x, k]);
    expect(dataset.length).toBe(1);
  });

  it('names the file that does not fit', async () => {
    const set = join(root, 'test_data_set_0');
    await expect(collect(set, [{ ...x, shape: [1, 3] }, k])).rejects.toMatchObject({
      code: 'data-shape',
      where: join(set, 'input_0.pb'),
      message: 'the array is [1, 2], which does not fit input "x" float32 [1, 3]',
    });
    await expect(collect(set, [{ ...x, dtype: 'float64' }, k])).rejects.toMatchObject({
      code: 'data-type',
      message: 'the array is float32, but input "x" takes float64',
    });
    const more = [x, k, { ...x, name: 'z' }];
    await expect(collect(set, more)).rejects.toMatchObject({ code: 'data-input-missing' });
  });
});

describe('options', () => {
  it('reads normalisation with one number each, or one per channel', () => {
    expect(parseNormalize('mean=0.1307,std=0.3081')).toEqual({ mean: [0.1307], std: [0.3081] });
    expect(parseNormalize('mean=0.5,0.4,0.3,std=0.2,0.2,0.1')).toEqual({
      mean: [0.5, 0.4, 0.3],
      std: [0.2, 0.2, 0.1],
    });
    expect(parseNormalize('mean=104,117,124')).toEqual({ mean: [104, 117, 124], std: [1, 1, 1] });
    expect(parseNormalize('std=58')).toEqual({ mean: [0], std: [58] });
    for (const bad of [
      '0.5',
      'mean=1,std=0',
      'mean=1,2,std=1',
      'mean=x,std=1',
      'm=1,std=1',
      'mean=,std=1',
    ]) {
      expect(() => parseNormalize(bad)).toThrow(`"${bad}" is not a value for --normalize`);
    }
  });

  it('reads a split', () => {
    expect(parseSplit('train=0.8')).toBe(0.8);
    for (const bad of ['0.8', 'train=1', 'train=0', 'train=x', 'test=0.5']) {
      expect(() => parseSplit(bad)).toThrow(`"${bad}" is not a value for --split`);
    }
  });
});
