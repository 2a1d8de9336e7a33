// From the outputs of detectors to boxes: one entry per kind of head.

import { headUnknown } from '../../errors/eval.ts';
import { badFlagValue } from '../../errors/usage.ts';
import type { Feeds } from '../../tensor/feeds.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { numbersOf } from '../ports.ts';
import type { Box } from './nms.ts';

export interface DecodeInput {
  readonly outputs: Feeds;
  /** Samples that count. */
  readonly count: number;
  /** Of the model's input, in pixels. */
  readonly width: number;
  readonly height: number;
  readonly minScore: number;
}

interface Head {
  readonly summary: string;
  /** Whether outputs look like this head's. */
  fits(input: DecodeInput): boolean;
  /** Boxes of each sample, before suppression. */
  decode(input: DecodeInput): Box[][];
  /** Its boxes are one per thing already. */
  readonly isFinal?: boolean;
}

const STRIDES = [8, 16, 32];

export const HEADS: Readonly<Record<string, Head>> = {
  // Ge et al. 2021: [N, cells, 5 + C]; centres relative to the cell, sizes as logarithms.
  yolox: {
    summary: 'YOLOX, [N, cells, 5 + classes] of grid offsets',
    fits: (input) => {
      const [only] = rank3(input);
      return only !== undefined && only.shape[1] === cellsOf(input) && isRaw(only);
    },
    decode: (input) => {
      const [output] = rank3(input);
      if (!output) return [];
      const cells = gridOf(input);
      return eachRow(
        output,
        input.count,
        (row, at) => {
          const cell = cells[at];
          if (!cell) return undefined;
          const [x = 0, y = 0, w = 0, h = 0, object = 0] = row;
          const { label, score } = bestClass(row, 5);
          const centre = [(x + cell.x) * cell.stride, (y + cell.y) * cell.stride] as const;
          const size = [Math.exp(w) * cell.stride, Math.exp(h) * cell.stride] as const;
          return around(centre, size, object * score, label);
        },
        input.minScore,
      );
    },
  },
  // Ultralytics: [N, boxes, 5 + C], centres and sizes in pixels.
  yolov5: {
    summary: 'YOLOv5 and v7, [N, boxes, 5 + classes] in pixels',
    fits: (input) => {
      const [only] = rank3(input);
      return only !== undefined && (only.shape[1] ?? 0) > (only.shape[2] ?? 0) && !isRaw(only);
    },
    decode: (input) => {
      const [output] = rank3(input);
      if (!output) return [];
      return eachRow(
        output,
        input.count,
        (row) => {
          const [x = 0, y = 0, w = 0, h = 0, object = 0] = row;
          const { label, score } = bestClass(row, 5);
          return around([x, y], [w, h], object * score, label);
        },
        input.minScore,
      );
    },
  },
  // Ultralytics: [N, 4 + C, boxes], centres and sizes in pixels, no score of an object.
  yolov8: {
    summary: 'YOLOv8 and later, [N, 4 + classes, boxes] in pixels',
    fits: (input) => {
      const [only] = rank3(input);
      return only !== undefined && (only.shape[1] ?? 0) < (only.shape[2] ?? 0);
    },
    decode: (input) => {
      const [output] = rank3(input);
      if (!output) return [];
      return eachRow(
        turned(output),
        input.count,
        (row) => {
          const [x = 0, y = 0, w = 0, h = 0] = row;
          const { label, score } = bestClass(row, 4);
          return around([x, y], [w, h], score, label);
        },
        input.minScore,
      );
    },
  },
  // Liu et al. 2016, UltraFace: scores [N, boxes, 1 + C] with the background first, corners in shares.
  ssd: {
    summary:
      'SSD and UltraFace, scores [N, boxes, 1 + classes] and corners [N, boxes, 4] in shares',
    fits: (input) => ssdPorts(input.outputs) !== undefined,
    decode: ({ outputs, count, width, height, minScore }) => {
      const ports = ssdPorts(outputs);
      if (!ports) return [];
      const corners = numbersOf(ports.boxes);
      const each = ports.boxes.shape[1] ?? 0;
      return eachRow(
        ports.scores,
        count,
        (row, at, sample) => {
          const { label, score } = bestClass(row, 1);
          const start = (sample * each + at) * 4;
          const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = corners.subarray(start, start + 4);
          return { x1: x1 * width, y1: y1 * height, x2: x2 * width, y2: y2 * height, score, label };
        },
        minScore,
      );
    },
  },
  // Carion et al. 2020: logits [N, queries, C + 1] with "nothing" last, centres and sizes in shares.
  detr: {
    summary: 'DETR, logits [N, queries, classes + 1] and pred_boxes [N, queries, 4] in shares',
    isFinal: true,
    fits: ({ outputs }) => detrPorts(outputs) !== undefined,
    decode: ({ outputs, count, width, height, minScore }) => {
      const ports = detrPorts(outputs);
      if (!ports) return [];
      const boxes = numbersOf(ports.boxes);
      const each = ports.boxes.shape[1] ?? 0;
      return eachRow(
        ports.logits,
        count,
        (row, at, sample) => {
          const { label, score } = bestClass(softmax(row).subarray(0, -1), 0);
          const start = (sample * each + at) * 4;
          const [x = 0, y = 0, w = 0, h = 0] = boxes.subarray(start, start + 4);
          return around([x * width, y * height], [w * width, h * height], score, label);
        },
        minScore,
      );
    },
  },
  // torchvision and others with the suppression inside: boxes [M, 4], scores [M], labels [M].
  final: {
    summary: 'boxes [M, 4] in pixels, scores [M] and labels [M], suppressed already; batch 1',
    isFinal: true,
    fits: ({ outputs }) => finalPorts(outputs) !== undefined,
    decode: ({ outputs, minScore }) => {
      const ports = finalPorts(outputs);
      if (!ports) return [];
      const corners = numbersOf(ports.boxes);
      const labels = numbersOf(ports.labels);
      const found = [...numbersOf(ports.scores)].flatMap((score, i): Box[] => {
        const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = corners.subarray(i * 4, i * 4 + 4);
        return score < minScore ? [] : [{ x1, y1, x2, y2, score, label: labels[i] as number }];
      });
      return [found];
    },
  },
};

/** The head of this name, or the only one that the outputs look like. */
export function headFor(input: DecodeInput, name: string | undefined): Head {
  const list = Object.entries(HEADS).map(([key, { summary }]) => `${key} (${summary})`);
  if (name !== undefined) {
    const found = HEADS[name];
    if (!found) throw badFlagValue('decode', name, `one of ${list.join('; ')}`);
    return found;
  }
  const fitting = Object.values(HEADS).filter((head) => head.fits(input));
  const [first] = fitting;
  if (first && fitting.length === 1) return first;
  const shapes = [...input.outputs].map(([key, { shape }]) => `${key} [${shape.join(', ')}]`);
  throw headUnknown(shapes, list);
}

function rank3({ outputs }: DecodeInput): Tensor[] {
  return outputs.size === 1 ? [...outputs.values()].filter(({ shape }) => shape.length === 3) : [];
}

function cellsOf(input: DecodeInput): number {
  return gridOf(input).length;
}

/** Cells of all strides, row by row, the finest first. */
function gridOf({ width, height }: Pick<DecodeInput, 'width' | 'height'>) {
  return STRIDES.flatMap((stride) => {
    const columns = Math.floor(width / stride);
    const rows = Math.floor(height / stride);
    return Array.from({ length: rows * columns }, (_, i) => ({
      x: i % columns,
      y: Math.floor(i / columns),
      stride,
    }));
  });
}

/** Offsets to a grid are small and may be negative; boxes in pixels are neither. */
function isRaw(output: Tensor): boolean {
  const width = output.shape[2] ?? 1;
  const values = numbersOf(output);
  let [sum, count] = [0, 0];
  for (let at = 0; at + 3 < values.length; at += width) {
    sum += Math.abs(values[at + 2] as number) + Math.abs(values[at + 3] as number);
    count += 2;
  }
  return sum / count < 8;
}

function bestClass(row: Float64Array, from: number): { label: number; score: number } {
  let best = from;
  for (let c = from + 1; c < row.length; c++) {
    if ((row[c] as number) > (row[best] as number)) best = c;
  }
  return { label: best - from, score: row[best] ?? 0 };
}

function around(
  [x, y]: readonly [number, number],
  [w, h]: readonly [number, number],
  score: number,
  label: number,
): Box {
  return { x1: x - w / 2, y1: y - h / 2, x2: x + w / 2, y2: y + h / 2, score, label };
}

type RowOf = (row: Float64Array, at: number, sample: number) => Box | undefined;

/** Boxes from the rows of [N, rows, width], those below the score left out. */
function eachRow(output: Tensor, count: number, boxOf: RowOf, minScore: number): Box[][] {
  const [, rows = 0, width = 0] = output.shape;
  const values = numbersOf(output);
  return Array.from({ length: count }, (_, sample) => {
    const boxes: Box[] = [];
    for (let at = 0; at < rows; at++) {
      const start = (sample * rows + at) * width;
      const box = boxOf(values.subarray(start, start + width), at, sample);
      if (box && box.score >= minScore) boxes.push(box);
    }
    return boxes;
  });
}

/** [N, a, b] → [N, b, a]. */
function turned(output: Tensor): Tensor {
  const [count = 0, a = 0, b = 0] = output.shape;
  const values = numbersOf(output);
  const turnedValues = Float64Array.from(values, (_, i) => {
    const sample = Math.floor(i / (a * b));
    const rest = i % (a * b);
    return values[sample * a * b + (rest % a) * b + Math.floor(rest / a)] as number;
  });
  return Tensor.of('float64', [count, b, a], turnedValues);
}

function softmax(row: Float64Array): Float64Array {
  const top = row.reduce((x, y) => Math.max(x, y));
  const powers = row.map((value) => Math.exp(value - top));
  const sum = powers.reduce((x, y) => x + y, 0);
  return powers.map((value) => value / sum);
}

function ssdPorts(outputs: Feeds) {
  const found = [...outputs];
  const boxes = found.find(([name, { shape }]) => /box/i.test(name) && isRows(shape, 4))?.[1];
  const scores = found.find(([name, { shape }]) => /score|conf/i.test(name) && isRows(shape))?.[1];
  return boxes && scores && outputs.size === 2 ? { boxes, scores } : undefined;
}

function detrPorts(outputs: Feeds) {
  const boxes = outputs.get('pred_boxes');
  const logits = outputs.get('logits') ?? outputs.get('pred_logits');
  return boxes && logits ? { boxes, logits } : undefined;
}

function finalPorts(outputs: Feeds) {
  const found = [...outputs];
  const boxes = found.find(([, { shape }]) => shape.length === 2 && shape[1] === 4)?.[1];
  const flat = found.filter(([, { shape }]) => shape.length === 1 && shape[0] === boxes?.shape[0]);
  const scores = flat.find(([name]) => /score|conf/i.test(name))?.[1];
  const labels = flat.find(([name]) => /label|class/i.test(name))?.[1];
  return boxes && scores && labels ? { boxes, scores, labels } : undefined;
}

function isRows(shape: readonly number[], width?: number): boolean {
  return shape.length === 3 && (width === undefined || shape[2] === width);
}
