import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Tensor } from '../../src/tensor/tensor.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/train/checkpoint.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const state = new Map([
  ['w', Tensor.of('float32', [2, 2], [1, 2, 3, 4.5])],
  ['t', Tensor.scalar('float64', 7)],
  ['flag', Tensor.of('bool', [1], [1])],
]);

describe('checkpoints', () => {
  it('hold state and facts', () => {
    const path = join(folder, 'a.checkpoint');
    writeCheckpoint(path, { state, facts: { position: { step: 3 }, name: 'ünï' } });
    const found = readCheckpoint(path);
    expect(found.facts).toEqual({ position: { step: 3 }, name: 'ünï' });
    expect([...found.state.keys()]).toEqual(['w', 't', 'flag']);
    for (const [name, tensor] of state) {
      expect(found.state.get(name)?.shape).toEqual(tensor.shape);
      expect(found.state.get(name)?.bytes()).toEqual(tensor.bytes());
    }
    expect(existsSync(`${path}.part`)).toBe(false);
  });

  it('are safetensors files: a length, a JSON header, bytes at the offsets it names', () => {
    const path = join(folder, 'b.checkpoint');
    writeCheckpoint(path, { state, facts: {} });
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, unknown>;
    expect(header['w']).toEqual({ dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] });
    expect(bytes.readFloatLE(8 + length + 12)).toBe(4.5);
  });

  it('that cannot be written leave the old one', () => {
    const path = join(folder, 'missing', 'c.checkpoint');
    expect(() => writeCheckpoint(path, { state, facts: {} })).toThrow(/could not be written/);
    expect(existsSync(path)).toBe(false);
    chmodSync(folder, 0o700);
  });

  it.each([
    ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length - 4)],
    ['empty', () => Buffer.alloc(0)],
    ['noise', () => Buffer.from('this is no checkpoint at all, only text')],
  ])('that are %s are refused', (_, damage) => {
    const path = join(folder, 'd.checkpoint');
    writeCheckpoint(path, { state, facts: {} });
    writeFileSync(path, damage(readFileSync(path)));
    expect(() => readCheckpoint(path)).toThrow(/is no checkpoint to go on from/);
  });
});
