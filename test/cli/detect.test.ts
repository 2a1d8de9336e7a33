// Training a small detector from nothing on squares and circles that are drawn here.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readModel } from '../../src/onnx/index.ts';
import { writeModel } from '../../src/onnx/write-file.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { npyBytes, npzBytes } from '../data/npy.ts';
import { xform } from '../helpers/cli.ts';
import { parseModel } from '../helpers/parse.ts';
import { sharedPath } from '../helpers/shared.ts';
import { type Box, decoded, gridOf, iouOf, standing } from '../train/detection.ts';

const folder = mkdtempSync(join(tmpdir(), 'xform-detect-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = 48;
const STRIDES = [4, 8];
const WIDTH = 7;
const ROWS = 4;
const CELLS = gridOf(SIZE, STRIDES);
const strides = ['--strides', STRIDES.join(',')];

interface Scene {
  readonly image: Float32Array;
  readonly boxes: readonly Box[];
}

/** Up to three squares (0) and circles (1) that hardly overlap, on noise. */
function draw(random: Random): Scene {
  const image = Float32Array.from({ length: SIZE * SIZE }, () => 0.2 * random.uniform());
  const boxes: Box[] = [];
  const wanted = 1 + random.integer(3);
  for (let tries = 0; boxes.length < wanted && tries < 20; tries++) {
    const side = 10 + 28 * random.uniform() ** 2;
    const place = () => side / 2 + (SIZE - side) * random.uniform();
    const box: Box = [random.integer(2), place(), place(), side, side];
    if (boxes.some((other) => iouOf(other, box).iou > 0.05)) continue;
    boxes.push(box);
    paint(image, box, 0.5 + 0.5 * random.uniform());
  }
  return { image, boxes };
}

function paint(image: Float32Array, [label, x, y, side]: Box, shade: number): void {
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; column++) {
      const [dx, dy] = [Math.abs(column + 0.5 - x), Math.abs(row + 0.5 - y)];
      const away = label === 0 ? Math.max(dx, dy) : Math.hypot(dx, dy);
      if (away < side / 2) image[row * SIZE + column] = shade;
    }
  }
}

function scenes(purpose: string, count: number): Scene[] {
  const random = new Random(1, purpose);
  return Array.from({ length: count }, () => draw(random));
}

function write(name: string, all: readonly Scene[]): void {
  const images = new Float32Array(all.length * SIZE * SIZE);
  const boxes = new Float32Array(all.length * ROWS * 5).fill(-1);
  all.forEach(({ image, boxes: own }, i) => {
    images.set(image, i * SIZE * SIZE);
    boxes.set(own.flat(), i * ROWS * 5);
  });
  writeFileSync(
    at(name),
    npzBytes({
      image: npyBytes('<f4', [all.length, 1, SIZE, SIZE], images),
      boxes: npyBytes('<f4', [all.length, ROWS, 5], boxes),
    }),
  );
}

/** Three convolutions to stride 4, one more to stride 8; x, y, w, h, object and two classes of each cell. */
function detector() {
  const conv = (name: string, out: number, inputs: number, kernel: number) =>
    `float[${out}, ${inputs}, ${kernel}, ${kernel}] W${name} = random, float[${out}] b${name} = random`;
  const model = parseModel(`
g (float[n, 1, ${SIZE}, ${SIZE}] image) => (float[n, ${CELLS.length}, ${WIDTH}] y)
<${conv('1', 12, 1, 3)}, ${conv('2', 24, 12, 3)}, ${conv('3', 24, 24, 5)}, ${conv('4', 32, 24, 3)},
 ${conv('5', 32, 32, 5)}, ${conv('fine', WIDTH, 24, 1)}, ${conv('coarse', WIDTH, 32, 1)},
 int64[3] cells = {0, ${WIDTH}, -1}>
{
  c1 = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(image, W1, b1)
  r1 = Relu(c1)
  c2 = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(r1, W2, b2)
  r2 = Relu(c2)
  c3 = Conv<kernel_shape = [5, 5], pads = [2, 2, 2, 2]>(r2, W3, b3)
  r3 = Relu(c3)
  c4 = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(r3, W4, b4)
  r4 = Relu(c4)
  c5 = Conv<kernel_shape = [5, 5], pads = [2, 2, 2, 2]>(r4, W5, b5)
  r5 = Relu(c5)
  f = Conv<kernel_shape = [1, 1]>(r3, Wfine, bfine)
  d = Conv<kernel_shape = [1, 1]>(r5, Wcoarse, bcoarse)
  fl = Reshape(f, cells)
  dl = Reshape(d, cells)
  all = Concat<axis = 2>(fl, dl)
  y = Transpose<perm = [0, 2, 1]>(all)
}`);
  for (const value of model.graph.initializers) {
    const { data } = value;
    if (data?.dtype !== 'float32') continue;
    const [, ...inputs] = data.shape;
    const scale = inputs.length ? Math.sqrt(2 / inputs.reduce((a, b) => a * b, 1)) : 0;
    const values = (data.values() as Float32Array).map((x) => x * scale);
    model.graph.setData(value, Tensor.of('float32', data.shape, values));
  }
  return model;
}

/** Shares of boxes found with the right class and half of the overlap, and of what was found. */
async function judge(path: string, all: readonly Scene[]) {
  const session = await loadModel(readModel(path));
  let [found, right, boxes] = [0, 0, 0];
  for (const scene of all) {
    const image = Tensor.of('float32', [1, 1, SIZE, SIZE], scene.image);
    const results = await session.run(new Map([['image', image]]));
    const output = results.get('y')?.values() as Float32Array;
    const kept = standing(
      CELLS.flatMap((cell, i) => {
        const said = output.subarray(i * WIDTH, (i + 1) * WIDTH);
        const [, x, y, w, h] = decoded(cell, said);
        const label = (said[5] as number) > (said[6] as number) ? 0 : 1;
        const score = said[4] as number;
        return score > 0 ? [{ box: [label, x, y, w, h] as Box, score }] : [];
      }),
    );
    const hit = scene.boxes.filter((box) =>
      kept.some((one) => one[0] === box[0] && iouOf(one, box).iou > 0.5),
    );
    found += kept.length;
    right += hit.length;
    boxes += scene.boxes.length;
  }
  await session.dispose();
  return { recall: right / boxes, precision: right / Math.max(1, found) };
}

const test = scenes('test', 50);

beforeAll(async () => {
  write('train.npz', scenes('train', 300));
  write('test.npz', test);
  await writeModel(detector(), at('start.onnx'));
});

describe('xform train --objective detect', () => {
  it('finds shapes that it has not seen', async () => {
    const files = ['--data', at('train.npz'), '--val', at('test.npz'), '-o', at('fit.onnx')];
    const flags = ['--epochs', '12', '--batch', '8', '--lr', '0.005', '--eval-every', '1000'];
    const run = await xform(['train', at('start.onnx'), ...files, ...flags, ...strides, '--json']);
    expect(run.stderr).not.toMatch(/error/);
    expect(run.code).toBe(0);
    const { metrics } = JSON.parse(run.stdout) as {
      metrics: { objective: string; validation: { iou: number } };
    };
    expect(metrics.objective).toBe('detect');
    expect(metrics.validation.iou).toBeGreaterThan(0.6);
    const before = await judge(at('start.onnx'), test);
    const after = await judge(at('fit.onnx'), test);
    expect(before.recall).toBeLessThan(0.2);
    expect(after.recall).toBeGreaterThan(0.6);
    expect(after.precision).toBeGreaterThan(0.4);
  }, 180_000);

  it.each([
    [
      'strides that do not make the cells',
      'train.npz',
      ['--strides', '8,16'],
      2,
      /180 cells .* 48/,
    ],
    ['strides that nobody knows', 'train.npz', [], 2, /--strides 8,16,32/],
    ['strides that are no numbers', 'train.npz', ['--strides', '4,x'], 2, /"x"/],
    ['a class that the model does not have', 'wrong.npz', strides, 3, /label 2/],
  ] as const)(
    'refuses %s',
    async (_, data, flags, code, message) => {
      const wrong: Scene = { image: new Float32Array(SIZE * SIZE), boxes: [[2, 9, 9, 4, 4]] };
      write('wrong.npz', [wrong]);
      const more = ['--data', at(data), '--batch', '1', '--steps', '1', '-o', at('no.onnx')];
      const run = await xform(['train', at('start.onnx'), ...more, ...flags]);
      expect(run.stderr).toMatch(message);
      expect(run.code).toBe(code);
    },
    30_000,
  );

  it('goes down the gradient of all weights of YOLOX-Nano', async () => {
    const model = sharedPath('models', 'yolox_nano.onnx');
    if (!model) return;
    const random = new Random(2, 'image');
    const image = Float32Array.from({ length: 3 * 416 * 416 }, () => 255 * random.uniform());
    const boxes = [
      [0, 100, 120, 40, 60],
      [17, 300, 200, 200, 150],
    ];
    writeFileSync(
      at('photo.npz'),
      npzBytes({
        images: npyBytes('<f4', [1, 3, 416, 416], image),
        boxes: npyBytes('<f4', [1, 2, 5], Float32Array.from(boxes.flat())),
      }),
    );
    const flags = ['--data', at('photo.npz'), '--batch', '1', '--steps', '3', '--lr', '1e-5'];
    const log = ['--log', at('log.jsonl'), '-o', at('yolox.onnx')];
    const run = await xform(['train', model, ...flags, '--schedule', 'constant', '--json', ...log]);
    expect(run.code).toBe(0);
    const { metrics } = JSON.parse(run.stdout) as { metrics: { trained_tensors: number } };
    expect(metrics.trained_tensors).toBe(226);
    const losses = readFileSync(at('log.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? []);
    expect(losses.at(-1)).toBeLessThan(losses[0] as number);
  }, 60_000);

  it('refuses a model that is no detector', async () => {
    await xform(['init', 'mlp', '--in', '1x48x48', '--classes', '7', '-o', at('mlp.onnx')]);
    const flags = ['--data', at('train.npz'), '--steps', '1', '-o', at('no.onnx')];
    const run = await xform(['train', at('mlp.onnx'), ...flags]);
    expect(run.stderr).toMatch(/\[N, cells, 5 \+ classes\]/);
    expect(run.code).toBe(3);
  }, 30_000);
});
