// Files written by NumPy itself: the fixtures always, and every type and order where a Python with
// NumPy is at hand.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { npy, npz } from '../../src/data/arrays.ts';
import type { InputSpec } from '../../src/data/dataset.ts';
import { symbol } from '../../src/graph/index.ts';
import { openSession } from '../../src/runtime/session.ts';
import type { DType } from '../../src/tensor/dtype.ts';
import { elementsOf } from '../../src/tensor/elements.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-numpy-'));
afterAll(() => rmSync(folder, { recursive: true }));

const python = ['.peers/bin/python', 'python3'].find(
  (name) => spawnSync(name, ['-c', 'import numpy']).status === 0,
);
if (!python) process.stdout.write('skipped: no Python with NumPy is here\n');

/** Writes arrays a[i, j, k] = 37 i + 11 j - k of every type and order, and what it wrote. */
const SCRIPT = `
import json, sys, numpy as np
out = sys.argv[1]
base = np.arange(5)[:, None, None] * 37 + np.arange(2)[None, :, None] * 11 - np.arange(3)
kinds = dict(float32='f4', float64='f8', float16='f2', int8='i1', int16='i2', int32='i4', int64='i8',
             uint8='u1', uint16='u2', uint32='u4', uint64='u8', bool='?')
rows = []
for dtype, code in kinds.items():
    for order in 'CF':
        for endian in '<>':
            a = np.asarray(abs(base) % 120 if code[0] != 'f' else base / 8, dtype=endian + code, order=order)
            name = f'{dtype}-{order}-{"le" if endian == "<" else "be"}'
            np.save(f'{out}/{name}.npy', a)
            rows.append([name, dtype, a.astype('f8').ravel().tolist()])
json.dump(rows, open(f'{out}/rows.json', 'w'))
x = np.asfortranarray(base.astype('f4'))
np.savez(f'{out}/stored.npz', x=x, labels=np.arange(5), text=np.array(['a', 'bc', 'd', 'ü', '']))
np.savez_compressed(f'{out}/packed.npz', x=x, labels=np.arange(5), text=np.array(['a', 'bc', 'd', 'ü', '']))
`;

async function firstBatch(kind: typeof npy, path: string, inputs: InputSpec[]) {
  const dataset = await kind.open({ path, inputs, options: { seed: 0 } });
  for await (const batch of dataset.batches(100)) return batch;
  throw new Error('no batch');
}

const spec = (name: string, dtype: DType, ...sample: number[]): InputSpec => ({
  name,
  dtype,
  shape: [symbol('N'), ...sample],
});

(python ? describe : describe.skip)('files that NumPy writes', () => {
  it('reads every type in both orders and both byte orders', async () => {
    const made = spawnSync(python ?? '', ['-c', SCRIPT, folder], { encoding: 'utf8' });
    expect(made.stderr).toBe('');
    const rows = JSON.parse(readFileSync(join(folder, 'rows.json'), 'utf8'));
    expect(rows).toHaveLength(48);
    for (const [name, dtype, expected] of rows) {
      const batch = await firstBatch(npy, join(folder, `${name}.npy`), [spec(name, dtype, 2, 3)]);
      const tensor = batch.feeds.get(name);
      const values = tensor ? elementsOf(tensor) : [];
      expect([name, Array.from(values as ArrayLike<number>, Number)]).toEqual([name, expected]);
    }
  });

  it.each(['stored.npz', 'packed.npz'])('reads %s', async (name) => {
    const batch = await firstBatch(npz, join(folder, name), [
      spec('x', 'float32', 2, 3),
      spec('text', 'string'),
    ]);
    expect(batch.feeds.get('x')?.numbers().slice(0, 9)).toEqual([0, -1, -2, 11, 10, 9, 37, 36, 35]);
    expect(batch.targets.get('labels')?.numbers()).toEqual([0, 1, 2, 3, 4]);
    const source = batch.feeds.get('text')?.source;
    const texts = source && 'strings' in source ? source.strings : [];
    expect(texts.map((t) => new TextDecoder().decode(t))).toEqual(['a', 'bc', 'd', 'ü', '']);
  });
});

it('feeds the digits fixture so that the network reaches its recorded accuracy', async () => {
  const manifest = JSON.parse(readFileSync('fixtures/MANIFEST.json', 'utf8'));
  const { accuracy } = manifest.find((row: { file: string }) => row.file === 'digits.onnx');
  const inputs = [spec('image', 'float32', 1, 8, 8)];
  const options = { seed: 0 };
  const dataset = await npz.open({ path: 'fixtures/digits-test.npz', inputs, options });
  const session = await openSession('fixtures/digits.onnx');
  let right = 0;
  for await (const batch of dataset.batches(100)) {
    const scores = (await session.run(batch.feeds)).get('logits')?.numbers() ?? [];
    const labels = batch.targets.get('labels')?.numbers() ?? [];
    labels.forEach((label, row) => {
      const own = scores.slice(row * 10, row * 10 + 10);
      right += Number(own.indexOf(Math.max(...own)) === label);
    });
  }
  await session.dispose();
  expect(right / 360).toBeCloseTo(accuracy, 4);
});
