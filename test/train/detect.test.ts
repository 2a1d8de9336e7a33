import { describe, expect, it } from '@jest/globals';
import { type Model, tensorType, Value } from '../../src/graph/index.ts';
import { inferTypes } from '../../src/ops/index.ts';
import { loadModel } from '../../src/runtime/runner.ts';
import { Random } from '../../src/tensor/random.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { differentiate } from '../../src/train/differentiate.ts';
import { Formula } from '../../src/train/formula.ts';
import { assign, cellsOf, detect, overlap } from '../../src/train/objectives/detect.ts';
import { OBJECTIVE_DEFAULTS } from '../../src/train/objectives/objective.ts';
import { parseModel } from '../helpers/parse.ts';
import { type Box, gridOf, iouOf, lossOf, ownerOf } from './detection.ts';

const SIZE = 64;
const STRIDES = [4, 8, 16];
const CELLS = gridOf(SIZE, STRIDES);
const CLASSES = 2;
const WIDTH = 5 + CLASSES;

/** Boxes of two images, five rows each, the last of them padding; sizes for all levels. */
function someBoxes(seed: number): Box[][] {
  const random = new Random(seed, 'boxes');
  return [0, 1].map(() =>
    Array.from({ length: 5 }, (_, i): Box => {
      if (i === 4) return [-1, -1, -1, -1, -1];
      const side = () => 2 + 70 * random.uniform() ** 2;
      const at = () => SIZE * random.uniform();
      return [random.integer(CLASSES), at(), at(), side(), side()];
    }),
  );
}

function emptyModel(): Model {
  const model = parseModel('g () => () { }');
  model.opsets.set('', 21);
  return model;
}

function input(model: Model, name: string, shape: number[]): Value {
  const value = new Value(name, tensorType('float32', shape));
  model.graph.inputs.push(value);
  return value;
}

async function run(model: Model, outputs: readonly Value[], feeds: Record<string, Tensor>) {
  model.graph.outputs = [...outputs];
  const session = await loadModel(model);
  const found = await session.run(new Map(Object.entries(feeds)));
  await session.dispose();
  return outputs.map(({ name }) => found.get(name)?.numbers() ?? []);
}

describe('cells get boxes', () => {
  it.each([1, 2, 3])('as plain loops give them: %d', async (seed) => {
    const boxes = someBoxes(seed);
    const model = emptyModel();
    const f = new Formula(model);
    const given = input(model, 'boxes', [2, 5, 5]);
    const a = assign(f, given, cellsOf(SIZE, SIZE, STRIDES));
    const [isObject, label, ...parts] = (await run(
      model,
      [a.isObject, a.label, a.x, a.y, a.w, a.h],
      { boxes: Tensor.of('float32', [2, 5, 5], boxes.flat(2)) },
    )) as [number[], number[], ...number[][]];
    let objects = 0;
    boxes.forEach((own, n) => {
      CELLS.forEach((cell, i) => {
        const at = n * CELLS.length + i;
        const box = own[ownerOf(cell, own, STRIDES)];
        expect(isObject[at]).toBe(box ? 1 : 0);
        if (!box) return;
        objects += 1;
        expect(label[at]).toBe(box[0]);
        parts.forEach((part, j) => void expect(part[at]).toBeCloseTo(box[j + 1] as number, 4));
      });
    });
    expect(objects).toBeGreaterThan(8);
  });
});

describe('overlap', () => {
  it('is that of plain loops, apart and inside each other', async () => {
    const pairs: [Box, Box][] = [
      [
        [0, 5, 5, 4, 4],
        [0, 5, 5, 4, 4],
      ],
      [
        [0, 5, 5, 4, 4],
        [0, 6, 7, 5, 3],
      ],
      [
        [0, 5, 5, 4, 4],
        [0, 25, 35, 2, 6],
      ],
      [
        [0, 5, 5, 10, 10],
        [0, 4, 6, 2, 3],
      ],
    ];
    const model = emptyModel();
    const f = new Formula(model);
    const [a, b] = ['a', 'b'].map((name) => {
      const parts = ['x', 'y', 'w', 'h'].map((part) => input(model, `${name}${part}`, [1, 4]));
      const [x, y, w, h] = parts as [Value, Value, Value, Value];
      return { x, y, w, h };
    }) as [Parameters<typeof overlap>[1], Parameters<typeof overlap>[2]];
    const { iou, giou } = overlap(f, a, b);
    const feeds = Object.fromEntries(
      ['a', 'b'].flatMap((name, side) =>
        ['x', 'y', 'w', 'h'].map((part, i) => [
          `${name}${part}`,
          Tensor.of(
            'float32',
            [1, 4],
            pairs.map((pair) => pair[side]?.[i + 1] as number),
          ),
        ]),
      ),
    );
    const [ious, gious] = await run(model, [iou, giou], feeds);
    pairs.forEach(([p, q], i) => {
      expect(ious?.[i]).toBeCloseTo(iouOf(p, q).iou, 5);
      expect(gious?.[i]).toBeCloseTo(iouOf(p, q).giou, 5);
    });
  });
});

describe('the loss of a detector', () => {
  it.each([
    ['logits', 'y = Add(x, zero)'],
    [
      'probabilities',
      'l = Slice(x, zero3, five, axis)\n p = Slice(x, four, many, axis)\n s = Sigmoid(p)\n b = Slice(x, zero3, four, axis)\n y = Concat<axis = 2>(b, s)',
    ],
  ])('of %s is that of plain loops, and so is its gradient', async (_, nodes) => {
    const boxes = someBoxes(4);
    const model = parseModel(`
g (float[2, ${CELLS.length}, ${WIDTH}] x, float[2, 1, ${SIZE}, ${SIZE}] image, float[2, 5, 5] boxes)
  => (float[2, ${CELLS.length}, ${WIDTH}] y)
<float zero = {0}, int64[1] zero3 = {0}, int64[1] four = {4}, int64[1] five = {5}, int64[1] many = {99}, int64[1] axis = {2}>
{
  ${nodes}
}`);
    model.opsets.set('', 21);
    inferTypes(model);
    const [x, image, target] = model.graph.inputs as [Value, Value, Value];
    const settings = { ...OBJECTIVE_DEFAULTS, strides: STRIDES, boxes: 5 };
    const f = new Formula(model);
    const { loss } = detect.build({
      f,
      inputs: [image],
      outputs: model.graph.outputs,
      settings,
      target: () => target,
    });
    const gradient = differentiate(model, loss.sum, [x]).get(x) as Value;
    const random = new Random(5, 'output');
    const output = Float32Array.from(
      { length: 2 * CELLS.length * WIDTH },
      () => 1.5 * random.normal(),
    );
    const [sum, count, found] = await run(model, [loss.sum, loss.count, gradient], {
      x: Tensor.of('float32', [2, CELLS.length, WIDTH], output),
      image: Tensor.of('float32', [2, 1, SIZE, SIZE], new Float32Array(2 * SIZE * SIZE)),
      boxes: Tensor.of('float32', [2, 5, 5], boxes.flat(2)),
    });
    const half = output.length / 2;
    const lossAt = (values: Float64Array, n: number) =>
      lossOf(values.subarray(n * half, (n + 1) * half), WIDTH, CELLS, boxes[n] as Box[], STRIDES);
    const exact = Float64Array.from(output);
    const [first, second] = [lossAt(exact, 0), lossAt(exact, 1)];
    expect(count?.[0]).toBe(first.objects + second.objects);
    const wanted = first.loss + second.loss;
    expect(Math.abs((sum?.[0] as number) - wanted) / wanted).toBeLessThan(1e-5);

    // All cells with a box, and some others.
    const step = 1e-5;
    let looked = 0;
    for (let n = 0; n < 2; n++) {
      CELLS.forEach((cell, i) => {
        if (ownerOf(cell, boxes[n] as Box[], STRIDES) < 0 && i % 50 > 0) return;
        const from = n * half + i * WIDTH;
        const part = exact.subarray(from, from + WIDTH);
        const alone = () => lossOf(part, WIDTH, [cell], boxes[n] as Box[], STRIDES);
        for (let j = 0; j < WIDTH; j++) {
          const at = from + j;
          const own = exact[at] as number;
          exact[at] = own + step;
          const above = alone().loss;
          exact[at] = own - step;
          const below = alone().loss;
          exact[at] = own;
          const slope = (above - below) / (2 * step);
          expect(Math.abs((found?.[at] as number) - slope)).toBeLessThan(
            1e-3 * Math.max(1, Math.abs(slope)),
          );
          looked += 1;
        }
      });
    }
    expect(looked).toBeGreaterThan(100);
  });

  it('counts background where an image has no box', async () => {
    const model = emptyModel();
    const f = new Formula(model);
    const y = input(model, 'y', [1, 64, 6]);
    const image = input(model, 'image', [1, 3, 64, 64]);
    const target = input(model, 'boxes', [1, 2, 5]);
    const { loss } = detect.build({
      f,
      inputs: [image],
      outputs: [y],
      settings: OBJECTIVE_DEFAULTS,
      target: () => target,
    });
    const [sum, count] = await run(model, [loss.sum, loss.count], {
      y: Tensor.of('float32', [1, 64, 6], new Float32Array(384)),
      boxes: Tensor.of('float32', [1, 2, 5], new Float32Array(10).fill(-1)),
      image: Tensor.of('float32', [1, 3, 64, 64], new Float32Array(3 * 4096)),
    });
    expect(sum?.[0]).toBeCloseTo(64 * Math.LN2, 4);
    expect(count?.[0]).toBe(1);
  });
});
