import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { FileSource, StoredArray } from '../../src/data/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-source-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function stored(name: string) {
  const path = join(folder, name);
  const values = Float32Array.from({ length: 12 }, (_, i) => i);
  writeFileSync(path, new Uint8Array(values.buffer));
  const parts = { name: 'x', where: path, dtype: 'float32', shape: [6, 2] } as const;
  return { path, array: new StoredArray(parts, new FileSource(path, 0, 48)) };
}

describe('an array in a file', () => {
  it('is read as it is needed, and kept once it was read through', () => {
    const { path, array } = stored('kept.bin');
    expect(array.rows([5, 0, 3, 1, 4, 2]).numbers()).toEqual([
      10, 11, 0, 1, 6, 7, 2, 3, 8, 9, 4, 5,
    ]);
    expect(array.rows([2]).numbers()).toEqual([4, 5]);
    rmSync(path);
    expect(array.rows([4, 4]).numbers()).toEqual([8, 9, 8, 9]);
  });

  it('is not kept by one that reads it once', () => {
    const { path, array } = stored('once.bin');
    array.rows([0, 1, 2, 3]);
    rmSync(path);
    expect(() => array.rows([4])).toThrow(/ENOENT/);
  });
});
