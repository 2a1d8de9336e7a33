// Detection in plain loops, in double precision: what the objective writes as a graph is held against it.

/** class, centre x, centre y, width, height */
export type Box = readonly [number, number, number, number, number];

interface Cell {
  readonly column: number;
  readonly row: number;
  readonly stride: number;
  readonly level: number;
}

export function gridOf(size: number, strides: readonly number[]): Cell[] {
  const cells: Cell[] = [];
  for (const [level, stride] of strides.entries()) {
    for (let row = 0; row < size / stride; row++) {
      for (let column = 0; column < size / stride; column++) {
        cells.push({ column, row, stride, level });
      }
    }
  }
  return cells;
}

/** The box that a cell answers for, by its number; -1 for none. */
export function ownerOf(cell: Cell, boxes: readonly Box[], strides: readonly number[]): number {
  const { column, row, stride, level } = cell;
  let found = -1;
  boxes.forEach(([label, x, y, w, h], i) => {
    if (label < 0) return;
    const fits = strides.findIndex((s) => Math.max(w, h) <= 8 * s);
    if ((fits < 0 ? strides.length - 1 : fits) !== level) return;
    const isCentre = Math.floor(x / stride) === column && Math.floor(y / stride) === row;
    const dx = Math.abs((column + 0.5) * stride - x);
    const dy = Math.abs((row + 0.5) * stride - y);
    const isNear = dx < w / 2 && dy < h / 2 && Math.max(dx, dy) < 1.5 * stride;
    if (!isCentre && !isNear) return;
    const other = boxes[found];
    if (!other || w * h < other[3] * other[4]) found = i;
  });
  return found;
}

export function iouOf(a: Box, b: Box): { iou: number; giou: number } {
  const ends = ([, x, y, w, h]: Box) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2] as const;
  const [p, q] = [ends(a), ends(b)];
  const shared =
    Math.max(0, Math.min(p[2], q[2]) - Math.max(p[0], q[0])) *
    Math.max(0, Math.min(p[3], q[3]) - Math.max(p[1], q[1]));
  const union = a[3] * a[4] + b[3] * b[4] - shared;
  const hull =
    (Math.max(p[2], q[2]) - Math.min(p[0], q[0])) * (Math.max(p[3], q[3]) - Math.min(p[1], q[1]));
  return { iou: shared / union, giou: shared / union - (hull - union) / hull };
}

export function decoded({ column, row, stride }: Cell, said: ArrayLike<number>): Box {
  const [x, y, w, h] = [0, 1, 2, 3].map((i) => said[i] as number) as [
    number,
    number,
    number,
    number,
  ];
  return [
    -1,
    (x + column) * stride,
    (y + row) * stride,
    Math.exp(w) * stride,
    Math.exp(h) * stride,
  ];
}

/** Cross-entropy of a logit with 0 or 1. */
const binary = (x: number, wanted: number) => Math.log1p(Math.exp(x)) - x * wanted;

/** Of one image: `output` holds `width` logits for each cell. */
export function lossOf(
  output: ArrayLike<number>,
  width: number,
  cells: readonly Cell[],
  boxes: readonly Box[],
  strides: readonly number[],
): { loss: number; objects: number } {
  let [loss, objects] = [0, 0];
  cells.forEach((cell, at) => {
    const said = Array.from({ length: width }, (_, i) => output[at * width + i] as number);
    const box = boxes[ownerOf(cell, boxes, strides)];
    loss += binary(said[4] as number, box ? 1 : 0);
    if (!box) return;
    objects += 1;
    loss += 5 * (1 - iouOf(decoded(cell, said), box).giou);
    said.slice(5).forEach((logit, c) => {
      loss += binary(logit, c === box[0] ? 1 : 0);
    });
  });
  return { loss, objects };
}

/** Boxes that stand, best first: of those that overlap by more than half the best (one class). */
export function standing(found: readonly { box: Box; score: number }[]): Box[] {
  const kept: Box[] = [];
  for (const { box } of [...found].sort((a, b) => b.score - a.score)) {
    if (kept.some((one) => one[0] === box[0] && iouOf(one, box).iou > 0.5)) continue;
    kept.push(box);
  }
  return kept;
}
