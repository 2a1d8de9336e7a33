// Folders of labelled files, read as bytes.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { parseBytes } from '../../src/data/file-bytes.ts';
import { openDataset } from '../../src/data/open.ts';
import type { DataOptions } from '../../src/data/options.ts';
import { symbol } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const root = mkdtempSync(join(tmpdir(), 'xform-bytes-'));
afterAll(() => rmSync(root, { recursive: true }));

function folder(name: string, files: Record<string, string>): string {
  for (const [file, content] of Object.entries(files)) {
    const path = join(root, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return join(root, name);
}

async function open(path: string, bytes: string, options: Partial<DataOptions> = {}) {
  const plan = parseBytes(bytes);
  const length = plan.head + plan.tail;
  const input = { name: 'x', dtype: 'int32' as const, shape: [symbol('N'), length] };
  const dataset = await openDataset(path, [input], { seed: 0, bytes: plan, ...options });
  for await (const { feeds, targets } of dataset.batches(100)) {
    const numbers = (feeds.get('x') as Tensor).numbers();
    const rows = Array.from({ length: numbers.length / length }, (_, i) =>
      numbers.slice(i * length, (i + 1) * length),
    );
    return { rows, labels: targets.get('labels')?.numbers(), dataset };
  }
  throw new Error('no batch');
}

const codes = (text: string) => [...text].map((c) => (c === '#' ? 256 : c.charCodeAt(0)));

describe('files as bytes', () => {
  const three = folder('three', {
    'b/one.bin': 'hello world',
    'b/two.bin': '  hi ',
    'a/empty.bin': '',
    '.git/config': 'x',
  });

  it('takes the start and the end, filled up between', async () => {
    const { rows, labels, dataset } = await open(three, 'head=4,tail=3,pad=256');
    expect(rows).toEqual([codes('#######'), codes('hellrld'), codes('  hihi ')]);
    expect(labels).toEqual([0, 1, 1]);
    expect(dataset.classes).toEqual(['a', 'b']);
  });

  it('leaves out white space at the ends, as far as it looks', async () => {
    const { rows } = await open(three, 'head=4,tail=3,pad=256,strip,block=100');
    expect(rows[2]).toEqual(codes('hi # hi'));
    const spaces = folder('spaces', { 'a/x': '          abc' });
    expect((await open(spaces, 'head=2,strip,block=4,pad=256')).rows).toEqual([codes('##')]);
    expect((await open(spaces, 'head=2,strip,block=11,pad=256')).rows).toEqual([codes('a#')]);
  });

  it('takes labels from a list of classes', async () => {
    const { labels } = await open(three, 'head=4', { classes: ['b', 'c', 'a'] });
    expect(labels).toEqual([2, 0, 0]);
    await expect(open(three, 'head=4', { classes: ['b'] })).rejects.toMatchObject({
      code: 'data-class-unknown',
      where: join(three, 'a', 'empty.bin'),
    });
    const some = await open(three, 'head=4', { classes: ['b'], skipBad: true });
    expect(some.labels).toEqual([0, 0]);
    expect(some.dataset.summary).toContain('1 bad skipped: ');
  });

  it('takes labels from labels.csv', async () => {
    const files = { x: 'x', y: 'y', z: 'z' };
    const named = folder('named', { ...files, 'labels.csv': 'file,label\nz,dog\nx,cat\n' });
    const { rows, labels } = await open(named, 'head=1');
    expect([rows, labels]).toEqual([
      [codes('z'), codes('x')],
      [1, 0],
    ]);
    const numbered = folder('numbered', { ...files, 'labels.csv': 'y,7\nnone,1\nx,\n' });
    await expect(open(numbered, 'head=1')).rejects.toMatchObject({
      where: expect.stringMatching(/labels\.csv:2$/),
    });
    const found = await open(numbered, 'head=1', { skipBad: true });
    expect(found.labels).toEqual([7]);
    expect(found.dataset.summary).toContain('2 bad skipped');
  });

  it('can do without labels', async () => {
    const plain = folder('plain', { x: 'x', y: 'y' });
    const { rows, labels } = await open(plain, 'head=1');
    expect([rows, labels]).toEqual([[codes('x'), codes('y')], undefined]);
  });

  it('refuses files that are too short, or leaves them out', async () => {
    await expect(open(three, 'head=4,min=1')).rejects.toMatchObject({
      kind: 'data',
      where: join(three, 'a', 'empty.bin'),
    });
    expect((await open(three, 'head=4,min=1', { skipBad: true })).labels).toEqual([1, 1]);
  });

  it('has to be told how many bytes', () => {
    for (const bad of ['', 'head', 'head=-1', 'pad=0', 'head=4,neck=2', 'head=4,strip=1']) {
      expect(() => parseBytes(bad)).toThrow(`"${bad}" is not a value for --bytes`);
    }
  });
});
