import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { InputSpec } from '../../src/data/dataset.ts';
import { idx } from '../../src/data/idx.ts';
import { symbol } from '../../src/graph/index.ts';
import { openSession } from '../../src/runtime/session.ts';
import { elementsOf } from '../../src/tensor/elements.ts';
import { sharedPath } from '../helpers/shared.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-idx-'));
afterAll(() => rmSync(folder, { recursive: true }));

const input = (...sample: number[]): InputSpec[] => [
  { name: 'x', dtype: 'float32', shape: [symbol('N'), ...sample] },
];

function idxBytes(type: number, shape: readonly number[], elements: readonly number[]): Buffer {
  const head = Buffer.alloc(4 + 4 * shape.length);
  head[2] = type;
  head[3] = shape.length;
  shape.forEach((dim, i) => void head.writeUInt32BE(dim, 4 + 4 * i));
  return Buffer.concat([head, Uint8Array.from(elements)]);
}

async function firstBatch(path: string, inputs: InputSpec[], size = 10) {
  const dataset = await idx.open({ path, inputs, options: { seed: 0 } });
  for await (const batch of dataset.batches(size)) return { dataset, batch };
  throw new Error('no batch');
}

describe('idx', () => {
  it.each([
    ['a-images-idx3-ubyte', 'a-labels-idx1-ubyte'],
    ['b-images-idx3-ubyte.gz', 'b-labels-idx1-ubyte'],
    ['c-images.idx3-ubyte', 'c-labels.idx1-ubyte.gz'],
  ])('reads %s with %s', async (images, labels) => {
    const pack = (name: string, bytes: Buffer) => (name.endsWith('.gz') ? gzipSync(bytes) : bytes);
    const pixels = [0, 255, 51, 102, 1, 2, 3, 4];
    writeFileSync(join(folder, images), pack(images, idxBytes(8, [2, 2, 2], pixels)));
    writeFileSync(join(folder, labels), pack(labels, idxBytes(8, [2], [7, 3])));
    const { dataset, batch } = await firstBatch(join(folder, images), input(1, 2, 2));
    expect(dataset.length).toBe(2);
    const x = batch.feeds.get('x');
    expect(x?.shape).toEqual([2, 1, 2, 2]);
    expect(x && [...elementsOf(x)]).toEqual(pixels.map((p) => Math.fround(p / 255)));
    expect(batch.targets.get('labels')?.numbers()).toEqual([7, 3]);
  });

  it('reads big-endian types, without labels', async () => {
    const path = join(folder, 'd.idx');
    writeFileSync(path, idxBytes(11, [1, 2], [0xff, 0xfe, 1, 0]));
    const { batch } = await firstBatch(path, input(2));
    const x = batch.feeds.get('x');
    expect(x && [...elementsOf(x)]).toEqual([-2, 256]);
    expect(batch.targets.size).toBe(0);
  });

  it('refuses what is no idx file, or not all of one', async () => {
    for (const [bytes, message] of [
      [Buffer.from('\x89PNG\r\n'), /not an idx file/],
      [Buffer.alloc(0), /not an idx file/],
      [idxBytes(8, [3, 3, 3], [1, 2]), /takes 27 bytes, but 2 are there/],
    ] as const) {
      const path = join(folder, 'bad-idx3-ubyte');
      writeFileSync(path, bytes);
      await expect(firstBatch(path, input(3, 3))).rejects.toMatchObject({
        kind: 'data',
        message: expect.stringMatching(message),
      });
    }
    const path = join(folder, 'bad-idx3-ubyte.gz');
    writeFileSync(path, gzipSync(idxBytes(8, [1], [1])).subarray(0, 15));
    await expect(firstBatch(path, input())).rejects.toMatchObject({ kind: 'data' });
  });

  const mnist = sharedPath('data', 'mnist-images-idx3-ubyte.gz');
  (mnist ? it : it.skip)('reads MNIST itself', async () => {
    const { dataset, batch } = await firstBatch(mnist ?? '', input(784), 1);
    expect(dataset.length).toBeGreaterThanOrEqual(1000);
    const x = batch.feeds.get('x');
    expect(x?.shape).toEqual([1, 784]);
    const values = [...(x ? elementsOf(x) : [])].map(Number);
    expect(Math.max(...values)).toBeLessThanOrEqual(1);
    expect(Math.max(...values)).toBeGreaterThan(0.9);
    expect(batch.targets.get('labels')?.numbers()[0]).toBeLessThan(10);
  });

  // Independent of this reader: the accuracy measured in Python on the same 1,000 digits.
  const model = sharedPath('models', 'mnist_cntk.onnx');
  (mnist && model ? it : it.skip)('feeds a trained network what it was trained on', async () => {
    const inputs: InputSpec[] = [{ name: 'Input3', dtype: 'float32', shape: [1, 1, 28, 28] }];
    const options = { seed: 0, limit: 1000, scale: 255 };
    const dataset = await idx.open({ path: mnist ?? '', inputs, options });
    const session = await openSession(model ?? '');
    let right = 0;
    for await (const { feeds, targets } of dataset.batches(1)) {
      const scores = [...(await session.run(feeds)).values()][0]?.numbers() ?? [];
      const best = scores.indexOf(Math.max(...scores));
      right += Number(best === targets.get('labels')?.numbers()[0]);
    }
    await session.dispose();
    expect(right).toBe(987);
  });
});
