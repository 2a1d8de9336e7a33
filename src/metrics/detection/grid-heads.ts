// One-stage detectors that predict at every cell of three grids: the YOLO family.

import {
  bestClass,
  cellsOf,
  fromCentre,
  type Head,
  type Output,
  perClass,
  STRIDES,
  Table,
} from './output.ts';

// Looking up a global costs more than calling it where scripts run in contexts of their own (tests).
const { exp } = Math;

/**
 * YOLOX (Ge et al. 2021): offsets in cells and logarithms of sizes, then objectness and classes. A box is
 * of its best class only, as in the original's `postprocess`.
 */
export const yolox: Head = {
  outputs:
    'one output [N, boxes, 5 + classes], a box per cell of the grids of strides 8, 16 and 32',
  needsSuppression: true,
  fits: (outputs, size) => {
    return outputs.length === 1 && isTable(outputs[0]) && outputs[0].shape[1] === cellsOf(size);
  },
  read: ([output], image, size, least) => {
    const table = new Table(output as Output, image);
    const cells = STRIDES.flatMap((stride) => {
      const columns = Math.ceil(size.width / stride);
      const count = columns * Math.ceil(size.height / stride);
      return Array.from({ length: count }, (_, cell) => {
        return { stride, x: cell % columns, y: Math.floor(cell / columns) };
      });
    });
    return table.flatMap((at, row) => {
      const { stride, x, y } = cells[row] ?? { stride: 0, x: 0, y: 0 };
      const [width, height] = [exp(at(2)) * stride, exp(at(3)) * stride];
      const box = () => fromCentre((at(0) + x) * stride, (at(1) + y) * stride, width, height);
      return bestClass(box, (index) => at(4) * at(5 + index), table.columns - 5, least);
    });
  },
};

/** YOLOv5 to v7 as they are exported: in pixels, with objectness; raw grids may stand beside it. */
export const yolov5: Head = {
  outputs: 'a first output [N, boxes, 5 + classes], three boxes per cell, in pixels',
  needsSuppression: true,
  fits: ([output, ...others], size) => {
    const areGrids = others.every(({ shape }) => shape.length === 5);
    return isTable(output) && output.shape[1] === 3 * cellsOf(size) && areGrids;
  },
  read: ([output], image, _, least) => {
    const table = new Table(output as Output, image);
    return table.flatMap((at) => {
      const box = () => fromCentre(at(0), at(1), at(2), at(3));
      return perClass(box, (index) => at(4) * at(5 + index), table.columns - 5, least);
    });
  },
};

/** YOLOv8 and later as they are exported: in pixels, without objectness, a column per box. */
export const yolov8: Head = {
  outputs: 'one output [N, 4 + classes, boxes], in pixels',
  needsSuppression: true,
  fits: ([output, ...others], size) => {
    const [, rows = 0, columns] = output?.shape ?? [];
    return (
      others.length === 0 && output?.shape.length === 3 && rows > 4 && columns === cellsOf(size)
    );
  },
  read: ([output], image, _, least) => {
    const table = new Table(output as Output, image);
    return Array.from({ length: table.columns }, (_, column) => {
      const at = (row: number) => table.at(row, column);
      const box = () => fromCentre(at(0), at(1), at(2), at(3));
      return perClass(box, (index) => at(4 + index), table.rows - 4, least);
    }).flat();
  },
};

/** Boxes with objectness and at least one class. */
function isTable(output: Output | undefined): output is Output {
  return output?.shape.length === 3 && (output.shape[2] ?? 0) > 5;
}
