// Whatever happens while a model is written, what stands at the target is whole: the model that was
// there, or the new one, each with its data.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { XformError } from '../../src/errors/error.ts';
import { encodeModel, readModel, writeModel, writeModelTo } from '../../src/onnx/index.ts';
import { derived, filled, sumOf, weightOf } from './weights.ts';

const root = mkdtempSync(join(tmpdir(), 'xform-atomic-'));
let folder = '';
let target = '';
let count = 0;
beforeEach(() => {
  count += 1;
  folder = join(root, String(count));
  mkdirSync(folder);
  target = join(folder, 'm.onnx');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const weights = (value: number) => sumOf({ w: filled([1024], value) });
const EXTERNAL = { externalData: true };

describe('one file', () => {
  it('stays as it is when a tensor cannot be computed', async () => {
    await writeModel(weights(1), target);
    const before = readFileSync(target);
    const failing = derived([1024], () => Promise.reject(new Error('no memory')));
    for (const options of [{}, EXTERNAL]) {
      await expect(
        writeModel(sumOf({ a: filled([1024], 1), failing }), target, options),
      ).rejects.toThrow('no memory');
      expect(readdirSync(folder)).toEqual(['m.onnx']);
      expect(readFileSync(target)).toEqual(before);
    }
  });

  it('may be written where it was read from', async () => {
    await writeModel(weights(1), target);
    const model = readModel(target);
    model.graph.name = 'changed';
    await writeModel(model, target);
    expect(weightOf(readModel(target), 'w')).toEqual(new Array(1024).fill(1));
    // The model in memory still reads the file that was there.
    expect(weightOf(model, 'w')).toEqual(new Array(1024).fill(1));
    await writeModel(model, target, EXTERNAL);
    await writeModel(readModel(target), target, EXTERNAL);
    await writeModel(readModel(target), target);
    expect(weightOf(readModel(target), 'w')).toEqual(new Array(1024).fill(1));
    expect(readdirSync(folder)).toEqual(['m.onnx']);
  });

  it('keeps its permissions, and a link to it stays a link', async () => {
    await writeModel(weights(1), target);
    chmodSync(target, 0o600);
    const link = join(folder, 'link.onnx');
    symlinkSync('m.onnx', link);
    await writeModel(weights(2), link);
    expect(realpathSync(link)).toBe(realpathSync(target));
    expect(statSync(target).mode & 0o777).toBe(0o600);
    expect(weightOf(readModel(target), 'w')[0]).toBe(2);
  });

  it('says why it cannot be written', async () => {
    const reasons = async (path: string) => {
      const error = await writeModel(weights(1), path).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(XformError);
      return (error as XformError).message;
    };
    expect(await reasons(join(folder, 'none', 'm.onnx'))).toContain('its folder does not exist');
    expect(await reasons(folder)).toContain('it is a folder');
    writeFileSync(join(folder, 'file'), '');
    expect(await reasons(join(folder, 'file', 'm.onnx'))).toContain('is not a folder');
  });

  it('may be a device', async () => {
    expect((await writeModel(weights(1), '/dev/null')).bytes).toBeGreaterThan(4096);
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('goes through a stream as it would into a file', async () => {
    const stream = new PassThrough();
    const chunks: Buffer[] = [];
    stream.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
    const model = sumOf({ a: filled([3_000_000], 1), b: filled([7], 2) });
    const bytes = await writeModelTo(model, stream);
    stream.end();
    await new Promise((resolve) => stream.on('close', resolve));
    const written = Buffer.concat(chunks);
    expect(written.length).toBe(bytes);
    expect(Buffer.compare(written, await encodeModel(model))).toBe(0);
  });
});

describe('a model and its data', () => {
  it('have the same names however often they are replaced', async () => {
    await writeModel(weights(1), target, EXTERNAL);
    const first = readFileSync(target);
    await writeModel(weights(2), target, EXTERNAL);
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.onnx.data']);
    expect(readFileSync(target)).toEqual(first);
    expect(weightOf(readModel(target), 'w')[0]).toBe(2);
  });

  it('leave nothing behind when data moves back into the model', async () => {
    await writeModel(weights(1), target, EXTERNAL);
    await writeModel(readModel(target), target);
    expect(readdirSync(folder)).toEqual(['m.onnx']);
  });

  it('leave data alone that another model uses', async () => {
    await writeModel(weights(1), target, EXTERNAL);
    writeFileSync(join(folder, 'copy.onnx'), readFileSync(target));
    await writeModel(weights(2), target, EXTERNAL);
    expect(weightOf(readModel(join(folder, 'copy.onnx')), 'w')[0]).toBe(1);
    expect(weightOf(readModel(target), 'w')[0]).toBe(2);
    await writeModel(weights(3), target);
    expect(readdirSync(folder).sort()).toEqual(['copy.onnx', 'm.onnx', 'm.onnx.data']);
    expect(weightOf(readModel(join(folder, 'copy.onnx')), 'w')[0]).toBe(1);
  });

  it('replace data that no model uses', async () => {
    writeFileSync(`${target}.data`, 'left over');
    await writeModel(weights(1), target, EXTERNAL);
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.onnx.data']);
    expect(weightOf(readModel(target), 'w')[0]).toBe(1);
  });
});

/** Writes version after version to the target, until it is killed. */
const WRITER = `
import { Builder, Graph, Model } from './graph.mjs';
import { Tensor } from './tensor.mjs';
import { writeModel } from './onnx.mjs';
const [target, external] = process.argv.slice(2);
for (let version = 1; ; version++) {
  const graph = new Graph('g');
  const g = new Builder(graph);
  for (let i = 0; i < 4; i++) {
    const values = new Float32Array(1 << 20).fill(version);
    g.output(g.op('Neg', [g.constant('w' + i, Tensor.of('float32', [1 << 20], values))]));
  }
  const model = new Model(graph, new Map([['', 20]]), 10);
  model.metadata.set('version', String(version));
  await writeModel(model, target, { externalData: external === 'true' });
  if (version === 1) process.stdout.write('ready');
}
`;

describe('a writer that is killed', () => {
  const program = mkdtempSync(join(tmpdir(), 'xform-writer-'));
  afterAll(() => rmSync(program, { recursive: true, force: true }));
  beforeAll(() => {
    const args = ['--bundle', '--splitting', '--platform=node', '--format=esm'];
    const entries = [
      'onnx=src/onnx/index.ts',
      'graph=src/graph/index.ts',
      'tensor=src/tensor/tensor.ts',
    ];
    const out = [`--outdir=${program}`, '--out-extension:.js=.mjs', '--log-level=error'];
    execFileSync('node_modules/.bin/esbuild', [...entries, ...args, ...out]);
    writeFileSync(join(program, 'writer.mjs'), WRITER);
  });

  const ready = (child: ChildProcess) =>
    new Promise<void>((resolve, reject) => {
      child.stdout?.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the writer ended with ${code}`)));
    });
  const gone = (child: ChildProcess) => new Promise((resolve) => child.once('close', resolve));

  it.each([false, true])('leaves a whole model (data beside it: %s)', async (external) => {
    const versions = new Set<string>();
    for (let round = 0; round < 6; round++) {
      rmSync(target, { force: true });
      const args = [join(program, 'writer.mjs'), target, String(external)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      await ready(child);
      await new Promise((resolve) => setTimeout(resolve, 40 + round * 37));
      child.kill('SIGKILL');
      await gone(child);
      expect(existsSync(target)).toBe(true);
      const model = readModel(target);
      const version = model.metadata.get('version') ?? '';
      versions.add(version);
      for (const value of model.graph.initializers) {
        const values = value.data?.values() as Float32Array;
        expect(values.every((x) => x === Number(version))).toBe(true);
      }
    }
    expect([...versions].every((version) => Number(version) >= 1)).toBe(true);
  });
});
