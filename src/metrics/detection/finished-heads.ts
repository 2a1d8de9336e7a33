// Detectors that suppress within the model: nothing is left but to read what they found.

import { headDoesNotFit } from '../../errors/detection.ts';
import { cellsOf, type Detection, type Head, type Output, Table } from './output.ts';

/** Separate outputs, as torchvision and TensorFlow have them. */
export const nms: Head = {
  outputs: 'boxes [N, boxes, 4], scores [N, boxes] and labels [N, boxes]',
  needsSuppression: false,
  fits: (outputs) => partsOf(outputs) !== undefined,
  read: (outputs, image, { width, height }, least) => {
    const parts = partsOf(outputs);
    if (!parts) throw headDoesNotFit('nms', nms.outputs, outputs);
    const boxes = new Table(parts.boxes, image);
    // TensorFlow: top, left, bottom, right as shares of the image; the others in pixels.
    const isTensorFlow = /detection_boxes/.test(parts.boxes.name);
    const found = boxes.flatMap((at, row): Detection[] => {
      const one = ({ values }: Output) => Number(values[image * boxes.rows + row]);
      const corners: [number, number, number, number] = isTensorFlow
        ? [at(1) * width, at(0) * height, at(3) * width, at(2) * height]
        : [at(0), at(1), at(2), at(3)];
      return [[...corners, one(parts.scores), one(parts.labels)]];
    });
    const count = parts.count ? Number(parts.count.values[image]) : boxes.rows;
    return found.slice(0, count).filter((row) => row[4] > least);
  },
};

/** One table, as YOLOv10 has it. */
export const end2end: Head = {
  outputs: 'one output [N, boxes, 6]: corners in pixels, score, class',
  needsSuppression: false,
  fits: ([output, ...others], size) => {
    const [, rows, columns] = output?.shape ?? [];
    const isGrid = rows === cellsOf(size) || rows === 3 * cellsOf(size);
    return others.length === 0 && output?.shape.length === 3 && columns === 6 && !isGrid;
  },
  read: ([output], image, _, least) => {
    const table = new Table(output as Output, image);
    return table
      .flatMap((at): Detection[] => [[at(0), at(1), at(2), at(3), at(4), at(5)]])
      .filter((row) => row[4] > least);
  },
};

interface Parts {
  readonly boxes: Output;
  readonly scores: Output;
  readonly labels: Output;
  /** How many rows of an image are detections. */
  readonly count?: Output;
}

/** Told by their names, for scores and labels have the same shape. */
function partsOf(outputs: readonly Output[]): Parts | undefined {
  const boxes = outputs.find(({ name, shape }) => /box/i.test(name) && shape.at(-1) === 4);
  const isFlat = ({ shape }: Output) => shape.length === (boxes?.shape.length ?? 0) - 1;
  const flat = outputs.filter(isFlat);
  const scores = flat.find(({ name }) => /score/i.test(name));
  const labels = flat.find(({ name }) => /label|class/i.test(name));
  const count = outputs.find(({ name }) => /num/i.test(name));
  return boxes && scores && labels
    ? { boxes, scores, labels, ...(count ? { count } : {}) }
    : undefined;
}
