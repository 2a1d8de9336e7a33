// Distillation of what is no classifier: language models token by token, numbers, boxes with scores.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { encodeModel, readModel } from '../../src/onnx/index.ts';
import { Random } from '../../src/tensor/random.ts';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { xform } from '../helpers/cli.ts';
import { parseModel } from '../helpers/parse.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-kinds-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const random = new Random(0, 'kinds');
const normal = (...shape: number[]) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return npyBytes(
    '<f4',
    shape,
    Float32Array.from({ length: size }, () => random.normal()),
  );
};
const tokens = (vocabulary: number, ...shape: number[]) => {
  const size = shape.reduce((a, b) => a * b, 1);
  const ids = BigInt64Array.from({ length: size }, () =>
    BigInt(Math.floor(random.uniform() * vocabulary)),
  );
  return npyBytes('<i8', shape, ids);
};

const write = async (name: string, text: string) =>
  writeFileSync(at(name), await encodeModel(parseModel(text)));
const init = async (name: string, ...flags: string[]) =>
  expect((await xform(['init', ...flags, '-o', at(name), '--quiet'])).code).toBe(0);

/** The soft loss of the first steps and of the last ones, and the kind that was chosen. */
async function taught(data: string, ...flags: string[]): Promise<{ first: number; last: number }> {
  const log = at('log.jsonl');
  const run = await xform([
    ...['distill', at('student.onnx'), '--teacher', at('teacher.onnx'), '-o', at('out.onnx')],
    ...['--data', at(data), '--batch', '16', '--lr', '0.01', '--log', log, '--json', ...flags],
  ]);
  expect(run.stderr).not.toMatch(/error/);
  expect(run.code).toBe(0);
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  const soft = lines
    .map((line) => JSON.parse(line) as { event: string; soft: number })
    .filter(({ event }) => event === 'train')
    .map((line) => line.soft);
  return { first: soft[0] ?? Number.NaN, last: soft.at(-1) ?? Number.NaN };
}

describe('xform distill', () => {
  it('language models, with and without the next token as a label', async () => {
    const sizes = ['--vocab', '12', '--seq', '8', '--heads', '2'];
    await init('teacher.onnx', 'gpt', ...sizes, '--hidden', '16', '--layers', '4', '--seed', '3');
    await init('student.onnx', 'gpt', ...sizes, '--hidden', '8', '--layers', '2');
    writeFileSync(at('text.npz'), npzBytes({ input_ids: tokens(12, 64, 8) }));
    const flags = ['--method', 'attention', '--layer-map', '0=1,1=3', '--steps', '60'];
    const { first, last } = await taught('text.npz', ...flags, '--alpha', '1');
    expect(last).toBeLessThan(0.8 * first);
    await taught('text.npz', '--objective', 'clm', '--steps', '4');
  }, 60_000);

  it('numbers: the squared distance of outputs, where labels are numbers', async () => {
    const sizes = ['--in', '5', '--classes', '2'];
    await init('teacher.onnx', 'mlp', ...sizes, '--hidden', '16', '--seed', '3');
    await init('student.onnx', 'mlp', ...sizes, '--hidden', '8');
    writeFileSync(at('numbers.npz'), npzBytes({ input: normal(64, 5), y: normal(64, 2) }));
    const { first, last } = await taught('numbers.npz', '--alpha', '1', '--steps', '150');
    expect(last).toBeLessThan(0.3 * first);
  }, 60_000);

  it('one number without labels, which would say nothing as a distribution', async () => {
    const sizes = ['--in', '5', '--classes', '1'];
    await init('teacher.onnx', 'mlp', ...sizes, '--hidden', '16', '--seed', '3');
    await init('student.onnx', 'mlp', ...sizes, '--hidden', '8');
    writeFileSync(at('inputs.npz'), npzBytes({ input: normal(64, 5) }));
    const { first, last } = await taught('inputs.npz', '--steps', '150');
    expect(first).toBeGreaterThan(0);
    expect(last).toBeLessThan(0.3 * first);
  }, 60_000);

  it('a student of an old opset: numbers of an operator that was taken apart are no weights', async () => {
    const old = (seed: string) => `
<ir_version: 8, opset_import: ["" : 7]>
${seed} (float[n, 3, 4, 4] image) => (float[n, 2, 4, 4] y)
<float[2, 3, 1, 1] w = random>
{
  scaled = ImageScaler <scale = 0.5, bias = [1.0, -2.0, 3.0]> (image)
  y = Conv <kernel_shape = [1, 1]> (scaled, w)
}`;
    await write('teacher.onnx', old('teacher'));
    await write('student.onnx', old('student'));
    writeFileSync(at('old.npz'), npzBytes({ image: normal(32, 3, 4, 4) }));
    await taught('old.npz', '--steps', '2');
    const trained = readModel(at('out.onnx'));
    expect([...trained.graph.nodes].map(({ op }) => op)).toEqual(['ImageScaler', 'Conv']);
  }, 60_000);

  it('boxes and scores of a detector: all outputs', async () => {
    const detector = (width: number, seed: string) => `
${seed} (float[n, 3, 8, 8] image) => (float[n, 4, 8, 8] boxes, float[n, 2, 8, 8] scores)
<float[${width}, 3, 3, 3] a = random, float[4, ${width}, 1, 1] b = random, float[2, ${width}, 1, 1] c = random>
{
  f = Conv <pads = [1, 1, 1, 1], kernel_shape = [3, 3]> (image, a)
  r = Relu(f)
  boxes = Conv <kernel_shape = [1, 1]> (r, b)
  s = Conv <kernel_shape = [1, 1]> (r, c)
  scores = Sigmoid(s)
}`;
    await write('teacher.onnx', detector(8, 'teacher'));
    await write('student.onnx', detector(4, 'student'));
    writeFileSync(at('images.npz'), npzBytes({ image: normal(32, 3, 8, 8) }));
    const { first, last } = await taught('images.npz', '--steps', '400');
    expect(last).toBeLessThan(0.5 * first);
  }, 60_000);
});
