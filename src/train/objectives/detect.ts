// Object detection without anchors, as in YOLOX (Ge et al. 2021): one output [N, cells, 5 + C] holds for
// each cell of each stride, finest first and row by row, what its box is (x, y, w, h, relative to the
// cell), whether there is an object, and of which class. Cells get boxes by centre sampling on one level
// (Tian et al. 2019, FCOS) instead of simOTA: which cell answers for which box depends on the boxes alone.

import { detectionCells, detectionOutput } from '../../errors/train.ts';
import type { Value } from '../../graph/index.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Formula } from '../formula.ts';
import { binaryLosses } from './classify.ts';
import type { Ends, Judged, Objective, ObjectiveContext } from './objective.ts';

/** Strides of common detectors, tried in this order where none are given. */
const STRIDES = [
  [8, 16, 32],
  [8, 16, 32, 64],
  [4, 8, 16, 32],
  [16, 32],
  [8, 16],
  [8],
  [16],
  [4],
  [32],
];
/** A level answers for boxes of at most so many strides; the last one for all that are larger. */
const REACH = 8;
/** Cells whose centre is within so many strides of the centre of a box answer for it. */
const RADIUS = 1.5;
/** How much boxes count beside objects and classes. */
const BOX_WEIGHT = 5;
/** Keeps sizes, e^x strides, and logarithms finite. */
const LARGEST = 10;
const TINY = 1e-7;

/** Cells as constants [1, cells, 1]: their column and row, their stride, the sizes they answer for. */
export interface Cells {
  readonly count: number;
  readonly column: Float32Array;
  readonly row: Float32Array;
  readonly stride: Float32Array;
  readonly from: Float32Array;
  readonly to: Float32Array;
}

/** All cells of an image, level by level. */
export function cellsOf(height: number, width: number, strides: readonly number[]): Cells {
  const cells = strides.flatMap((stride, level) => {
    const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)];
    const from = level === 0 ? 0 : REACH * (strides[level - 1] as number);
    const to = level === strides.length - 1 ? 1e9 : REACH * stride;
    return Array.from({ length: rows * columns }, (_, i) => {
      return { column: i % columns, row: Math.floor(i / columns), stride, from, to };
    });
  });
  const numbers = (of: (cell: (typeof cells)[number]) => number) => Float32Array.from(cells, of);
  return {
    count: cells.length,
    column: numbers(({ column }) => column),
    row: numbers(({ row }) => row),
    stride: numbers(({ stride }) => stride),
    from: numbers(({ from }) => from),
    to: numbers(({ to }) => to),
  };
}

function cellsFor({ inputs, outputs }: Ends, given: readonly number[] | undefined): Cells {
  const [, count = 0] = (outputs[0]?.shape ?? []).map(Number);
  const image = inputs.find(({ shape }) => shape?.length === 4);
  const [, a = 1, b = 1, c = 1] = (image?.shape ?? []).map(Number);
  // Channels stand first or last; there are few of them.
  const [height, width] = a <= c ? [b, c] : [a, b];
  for (const strides of given ? [given] : STRIDES) {
    const cells = cellsOf(height, width, strides);
    if (cells.count === count) return cells;
  }
  throw detectionCells(count, height, width, given);
}

/** Of boxes or of cells, each [N, cells] or [N, 1, boxes]. */
interface Boxes {
  readonly x: Value;
  readonly y: Value;
  readonly w: Value;
  readonly h: Value;
}

/** What cells are to say: 1 where a box is theirs, and that box, [N, cells]. */
export interface Assigned extends Boxes {
  readonly isObject: Value;
  /** int64; 0 where there is no box. */
  readonly label: Value;
}

/**
 * Gives boxes [N, M, 5] (class, centre, size, in pixels; class -1: none) to cells. On the level for its
 * size, a box is that of the cell its centre is in, and of those around it whose own centre is within
 * the box and RADIUS strides; of several boxes the smallest is taken.
 */
export function assign(f: Formula, boxes: Value, cells: Cells): Assigned {
  const [n = 1, m = 1] = (boxes.shape ?? []).map(Number);
  const fixed = (name: string, values: Float32Array) =>
    f.g.constant(`cells/${name}`, Tensor.of('float32', [1, cells.count, 1], values));
  const column = fixed('column', cells.column);
  const row = fixed('row', cells.row);
  const stride = fixed('stride', cells.stride);
  const part = (i: number) => f.reshape(f.slice(boxes, 2, i, i + 1), [n, 1, m]);
  const [label, x, y, w, h] = [0, 1, 2, 3, 4].map(part) as [Value, Value, Value, Value, Value];
  const atLeast = (a: Value, b: Value) => f.op('GreaterOrEqual', [a, b]);
  const near = (centre: Value, size: Value, index: Value) => {
    const away = f.op('Abs', [f.sub(f.mul(f.add(index, 0.5), stride), centre)]);
    return f.less(away, f.min(f.mul(size, 0.5), f.mul(stride, RADIUS)));
  };
  const holds = (centre: Value, index: Value) =>
    f.equal(f.op('Floor', [f.div(centre, stride)]), index);
  const isCentre = f.and(holds(x, column), holds(y, row));
  const isNear = f.and(near(x, w, column), near(y, h, row));
  const size = f.max(w, h);
  const isLevel = f.and(
    f.greater(size, fixed('from', cells.from)),
    f.op('LessOrEqual', [size, fixed('to', cells.to)]),
  );
  const isThere = f.and(isLevel, atLeast(label, f.number(0, 'float32')));
  const isOwn = f.and(isThere, f.op('Or', [isCentre, isNear]));
  const none = f.number(1e12, 'float32');
  const area = f.op('Where', [isOwn, f.mul(w, h), none]);
  const best = f.op('ArgMin', [area], { axis: 2, keepdims: 1 });
  const index = f.op('Expand', [best, f.ints([n, cells.count, 5])]);
  const own = f.op('GatherElements', [boxes, index], { axis: 1 });
  const least = f.op('ReduceMin', [area, f.ints([2])], { keepdims: 0 });
  const isObject = f.less(least, none);
  const of = (i: number) => f.reshape(f.slice(own, 2, i, i + 1), [n, cells.count]);
  return {
    isObject: f.cast(isObject, 'float32'),
    label: f.cast(f.max(of(0), 0), 'int64'),
    ...{ x: of(1), y: of(2), w: of(3), h: of(4) },
  };
}

/** Boxes of the output [N, cells, 5 + C] in pixels: (x + column) · stride, e^w · stride. */
export function decode(f: Formula, output: Value, cells: Cells): Boxes {
  const [n = 1] = (output.shape ?? []).map(Number);
  const fixed = (name: string, values: Float32Array) =>
    f.g.constant(`cells/${name}`, Tensor.of('float32', [1, cells.count], values));
  const stride = fixed('stride', cells.stride);
  const part = (i: number) => f.reshape(f.slice(output, 2, i, i + 1), [n, cells.count]);
  const at = (i: number, index: Value) => f.mul(f.add(part(i), index), stride);
  const long = (i: number) => f.mul(f.op('Exp', [f.min(part(i), LARGEST)]), stride);
  return {
    x: at(0, fixed('column', cells.column)),
    y: at(1, fixed('row', cells.row)),
    w: long(2),
    h: long(3),
  };
}

/** Overlap over union, and that of Rezatofighi et al. (2019), which tells how far boxes are apart. */
export function overlap(f: Formula, a: Boxes, b: Boxes): { iou: Value; giou: Value } {
  const ends = (centre: Value, size: Value) => {
    const half = f.mul(size, 0.5);
    return { from: f.sub(centre, half), to: f.add(centre, half) };
  };
  const sides = [
    [ends(a.x, a.w), ends(b.x, b.w)],
    [ends(a.y, a.h), ends(b.y, b.h)],
  ] as const;
  const [shared, around] = [sides, sides].map((all, i) => {
    const lengths = all.map(([p, q]) =>
      i === 0
        ? f.max(f.sub(f.min(p.to, q.to), f.max(p.from, q.from)), 0)
        : f.sub(f.max(p.to, q.to), f.min(p.from, q.from)),
    ) as [Value, Value];
    return f.mul(...lengths);
  }) as [Value, Value];
  const both = f.add(f.mul(a.w, a.h), f.mul(b.w, b.h));
  const union = f.add(f.sub(both, shared), TINY);
  const iou = f.div(shared, union);
  const hull = f.add(around, TINY);
  return { iou, giou: f.sub(iou, f.div(f.sub(hull, union), hull)) };
}

const MOVES = new Set(['Transpose', 'Concat', 'Reshape', 'Identity', 'Flatten', 'Squeeze']);

/** Whether the model says probabilities: a Sigmoid before what only moves elements. */
function saysProbabilities(output: Value): boolean {
  const made = output.producer;
  if (!made) return false;
  if (made.op === 'Sigmoid') return true;
  return MOVES.has(made.op) && made.inputs.some((input) => input && saysProbabilities(input));
}

/** Cross-entropy of each element with what it is to be, 0 or 1. */
function binary(f: Formula, said: Value, wanted: Value, isProbability: boolean): Value {
  if (!isProbability) return binaryLosses(f, said, wanted);
  const log = (x: Value) => f.op('Log', [f.max(x, TINY)]);
  const not = (x: Value) => f.op('Sub', [f.number(1, 'float32'), x]);
  return f.neg(f.add(f.mul(wanted, log(said)), f.mul(not(wanted), log(not(said)))));
}

export const detect: Objective = {
  summary: 'boxes and their classes (YOLOX), for outputs [N, cells, 5 + C]',
  targets({ outputs: [output] }, { boxes }) {
    const shape = (output?.shape ?? []).map(Number);
    const classes = (shape[2] ?? 0) - 5;
    if (shape.length !== 3 || classes < 1) throw detectionOutput(shape);
    const spec = { dtype: 'float32' as const, shape: [boxes ?? 1, 5] };
    return [{ name: 'boxes', ...spec, below: classes, every: 5 }];
  },
  build(c) {
    return judge(c, cellsFor(c, c.settings.strides));
  },
};

function judge({ f, outputs, target, real }: ObjectiveContext, cells: Cells): Judged {
  const output = outputs[0] as Value;
  const [n = 1, , width = 6] = (output.shape ?? []).map(Number);
  const classes = width - 5;
  const isProbability = saysProbabilities(output);
  const wanted = assign(f, target('boxes'), cells);
  const isReal = real && f.reshape(real, [n, 1]);
  const own = isReal ? f.mul(wanted.isObject, isReal) : wanted.isObject;
  const objects = f.sum(own);
  const { iou, giou } = overlap(f, decode(f, output, cells), wanted);
  const boxes = f.sum(f.mul(f.op('Sub', [f.number(1, 'float32'), giou]), own));

  const object = f.reshape(f.slice(output, 2, 4, 5), [n, cells.count]);
  const objectLosses = binary(f, object, wanted.isObject, isProbability);
  const presence = f.sum(isReal ? f.mul(objectLosses, isReal) : objectLosses);

  const said = f.slice(output, 2, 5, width);
  const onOff = f.g.constant('on_off', Tensor.of('float32', [2], [0, 1]));
  const oneHot = f.op('OneHot', [wanted.label, f.number(classes, 'int64'), onOff], { axis: -1 });
  const kinds = f.sum(f.mul(f.sum(binary(f, said, oneHot, isProbability), [2]), own));

  const sum = f.add(f.add(f.mul(boxes, BOX_WEIGHT), presence), kinds);
  const best = f.op('ArgMax', [said], { axis: 2, keepdims: 0 });
  const isRight = f.cast(f.equal(best, wanted.label), 'float32');
  return {
    // Also where no box is there, background is.
    loss: { sum, count: f.max(objects, 1) },
    metrics: new Map([
      ['iou', { sum: f.sum(f.mul(iou, own)), count: objects }],
      ['class_accuracy', { sum: f.sum(f.mul(isRight, own)), count: objects }],
    ]),
  };
}
