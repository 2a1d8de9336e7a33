// Heads of detectors: boxes placed where the papers say, read out of outputs made by hand.

import { describe, expect, it } from '@jest/globals';
import {
  decode,
  type HeadName,
  recogniseHead,
  toOriginal,
} from '../../../src/metrics/detection/decode.ts';
import type { Output } from '../../../src/metrics/detection/output.ts';
import { suppress } from '../../../src/metrics/detection/suppress.ts';

const SIZE = { height: 32, width: 64 };
/** 4 x 8, 2 x 4 and 1 x 2 cells. */
const CELLS = 42;

/** Zeros but at some places [indices…, value]. */
function output(name: string, shape: number[], places: number[][] = []): Output {
  const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  for (const place of places) {
    const at = shape.reduce((index, dim, axis) => index * dim + (place[axis] ?? 0), 0);
    values[at] = place.at(-1) ?? 0;
  }
  return { name, shape, values };
}

/** Values of consecutive columns of one row of image 1. */
const row = (at: number, values: number[]) => values.map((value, column) => [1, at, column, value]);

const close = (rows: readonly (readonly number[])[]) =>
  rows.map((values) => values.map((value) => Math.round(value * 1e4) / 1e4));

/** Two images, the first of them empty. */
const CASES: { head: HeadName; outputs: Output[]; expected: number[][] }[] = [
  {
    head: 'yolox',
    // Cell (x 2, y 1) of the second grid, stride 16.
    outputs: [
      output('output', [2, CELLS, 7], row(32 + 6, [0.5, 0.25, Math.log(2), 0, 0.8, 0.5, 0.25])),
    ],
    expected: [[24, 12, 56, 28, 0.4, 0]],
  },
  {
    head: 'yolov5',
    outputs: [
      output('output0', [2, 3 * CELLS, 7], row(100, [20, 10, 8, 4, 0.5, 0, 0.5])),
      output('grid', [2, 3, 4, 8, 7]),
    ],
    expected: [[16, 8, 24, 12, 0.25, 1]],
  },
  {
    head: 'yolov8',
    outputs: [
      output(
        'output0',
        [2, 6, CELLS],
        [20, 10, 8, 4, 0, 0.75].map((value, i) => [1, i, 41, value]),
      ),
    ],
    expected: [[16, 8, 24, 12, 0.75, 1]],
  },
  {
    head: 'ssd',
    outputs: [
      output(
        'scores',
        [2, 5, 2],
        [
          ...[0, 1, 2, 3, 4].flatMap((i) => [
            [0, i, 0, 1],
            [1, i, 0, 1],
          ]),
          ...row(3, [0.25, 0.75]),
        ],
      ),
      output('boxes', [2, 5, 4], row(3, [0.25, 0.5, 0.5, 0.75])),
    ],
    expected: [[16, 16, 32, 24, 0.75, 0]],
  },
  {
    head: 'detr',
    outputs: [
      output(
        'logits',
        [2, 3, 3],
        [
          ...[0, 1, 2].flatMap((i) => [
            [0, i, 2, 50],
            [1, i, 2, 50],
          ]),
          ...row(1, [0, Math.log(3), 0]),
        ],
      ),
      output('pred_boxes', [2, 3, 4], row(1, [0.5, 0.5, 0.25, 0.5])),
    ],
    expected: [[24, 8, 40, 24, 0.6, 1]],
  },
  {
    head: 'nms',
    outputs: [
      output(
        'detection_boxes',
        [2, 3, 4],
        [...row(0, [0.25, 0.5, 0.5, 0.75]), ...row(2, [0, 0, 1, 1])],
      ),
      output(
        'detection_scores',
        [2, 3],
        [
          [1, 0, 0.5],
          [1, 2, 0.9],
        ],
      ),
      output(
        'detection_classes',
        [2, 3],
        [
          [1, 0, 7],
          [1, 2, 3],
        ],
      ),
      output('num_detections', [2], [[1, 2]]),
    ],
    expected: [[32, 8, 48, 16, 0.5, 7]],
  },
  {
    head: 'end2end',
    outputs: [output('output0', [2, 300, 6], row(9, [1, 2, 3, 4, 0.5, 6]))],
    expected: [[1, 2, 3, 4, 0.5, 6]],
  },
];

describe('heads', () => {
  it.each(CASES)('knows and reads $head', ({ head, outputs, expected }) => {
    expect(recogniseHead(outputs, SIZE)).toBe(head);
    const [first, second] = decode(head, outputs, { size: SIZE });
    expect(first).toEqual([]);
    expect(close(second ?? [])).toEqual(expected);
  });

  it("reads torchvision's outputs, which have no batch", () => {
    const outputs = [
      output(
        'boxes',
        [2, 4],
        [
          [1, 2, 30],
          [1, 3, 20],
          [0, 3, 5],
        ],
      ),
      output(
        'labels',
        [2],
        [
          [0, 4],
          [1, 5],
        ],
      ),
      output(
        'scores',
        [2],
        [
          [0, 0.25],
          [1, 0.5],
        ],
      ),
    ];
    expect(recogniseHead(outputs, SIZE)).toBe('nms');
    expect(decode('nms', outputs, { size: SIZE })).toEqual([
      [
        [0, 0, 30, 20, 0.5, 5],
        [0, 0, 0, 5, 0.25, 4],
      ],
    ]);
  });

  // Names, shapes and input sizes of published models.
  it.each([
    ['yolox', 416, 416, { output: [1, 3549, 85] }],
    ['ssd', 240, 320, { scores: [1, 4420, 2], boxes: [1, 4420, 4] }],
    ['yolov5', 640, 640, { output0: [1, 25200, 85] }],
    ['yolov8', 640, 640, { output0: [1, 84, 8400] }],
    ['end2end', 640, 640, { output0: [1, 300, 6] }],
    ['detr', 800, 1066, { logits: [1, 100, 92], pred_boxes: [1, 100, 4] }],
  ])('knows %s at %d x %d', (head, height, width, shapes) => {
    const outputs = Object.entries(shapes).map(([name, shape]) => ({ name, shape, values: [] }));
    expect(recogniseHead(outputs, { height, width })).toBe(head);
  });

  it('lists the kinds where it cannot tell', () => {
    expect(() => recogniseHead([output('758', [1, 85, 22, 22])], SIZE)).toThrow(
      'no known kind of detector: "758" [1, 85, 22, 22]',
    );
    expect(() => decode('detr', [output('758', [1, 85, 22, 22])], { size: SIZE })).toThrow(
      'logits [N, queries, classes + 1]',
    );
  });
});

describe('suppression', () => {
  it('keeps the best of those that overlap, class by class', () => {
    const found = suppress(
      [
        [0, 0, 10, 10, 0.5, 0],
        [0, 0, 10, 9, 0.9, 0],
        [0, 0, 10, 10, 0.4, 1],
        [0, 5, 10, 14, 0.3, 0],
      ],
      0.45,
    );
    expect(found.map((row) => row[4])).toEqual([0.9, 0.4, 0.3]);
  });
});

describe('toOriginal', () => {
  it('takes off padding and scale, and what stands out', () => {
    const placement = {
      scale: [0.5, 0.25] as const,
      offset: [10, 20] as const,
      size: { width: 100, height: 80 },
    };
    expect(toOriginal([20, 25, 110, 30, 0.5, 3], placement)).toEqual([20, 20, 100, 40, 0.5, 3]);
  });
});
