// Detectors with an output of boxes, as shares of the image, beside one of scores: SSD and DETR.

import { headDoesNotFit } from '../../errors/detection.ts';
import { fromCentre, type Head, type Output, perClass, Table } from './output.ts';

/** SSD (Liu et al. 2016), UltraFace: corners, and probabilities or logits of background and classes. */
export const ssd: Head = {
  outputs: 'scores [N, boxes, 1 + classes], background first, and boxes [N, boxes, 4]',
  needsSuppression: true,
  fits: (outputs) => pairOf(outputs) !== undefined && !isNamedAsDetr(outputs),
  read: (outputs, image, { width, height }, least) => {
    const { boxes, scores } = tablesOf('ssd', ssd, outputs, image);
    return scores.flatMap((at, row) => {
      const probability = softmaxOf(at, scores.columns);
      const box = () =>
        [
          boxes.at(row, 0) * width,
          boxes.at(row, 1) * height,
          boxes.at(row, 2) * width,
          boxes.at(row, 3) * height,
        ] as const;
      return perClass(box, (index) => probability(index + 1), scores.columns - 1, least);
    });
  },
};

/** DETR (Carion et al. 2020): centre and size, and logits of classes and "no object"; one class each. */
export const detr: Head = {
  outputs: 'logits [N, queries, classes + 1], "no object" last, and boxes [N, queries, 4]',
  needsSuppression: false,
  fits: (outputs) => pairOf(outputs) !== undefined && isNamedAsDetr(outputs),
  read: (outputs, image, { width, height }, least) => {
    const { boxes, scores } = tablesOf('detr', detr, outputs, image);
    return scores.flatMap((at, row) => {
      const probability = softmaxOf(at, scores.columns);
      let best = 0;
      for (let i = 1; i < scores.columns - 1; i++) if (at(i) > at(best)) best = i;
      if (!(probability(best) > least)) return [];
      const [x, y, w, h] = [0, 1, 2, 3].map((i) => boxes.at(row, i)) as [
        number,
        number,
        number,
        number,
      ];
      const box = fromCentre(x * width, y * height, w * width, h * height);
      return [[...box, probability(best), best]];
    });
  },
};

interface Pair {
  readonly boxes: Output;
  readonly scores: Output;
}

/** The output [N, boxes, 4] and another one of as many rows; names decide where both end in 4. */
function pairOf(outputs: readonly Output[]): Pair | undefined {
  const tables = outputs.filter(({ shape }) => shape.length === 3);
  const narrow = tables.filter(({ shape }) => shape[2] === 4);
  const boxes = narrow.length === 1 ? narrow[0] : narrow.find(({ name }) => /box|loc/i.test(name));
  const others = tables.filter((output) => output !== boxes);
  const scores = others.find(({ shape }) => {
    return shape[1] === boxes?.shape[1] && (shape[2] ?? 0) >= 2;
  });
  return boxes && scores && outputs.length === 2 ? { boxes, scores } : undefined;
}

function tablesOf(name: string, head: Head, outputs: readonly Output[], image: number) {
  const pair = pairOf(outputs);
  if (!pair) throw headDoesNotFit(name, head.outputs, outputs);
  return { boxes: new Table(pair.boxes, image), scores: new Table(pair.scores, image) };
}

function isNamedAsDetr(outputs: readonly Output[]): boolean {
  return outputs.some(({ name }) => /logit/i.test(name));
}

/** Probabilities of a row of logits; of one that holds probabilities already, those. */
function softmaxOf(at: (i: number) => number, count: number): (i: number) => number {
  const row = Array.from({ length: count }, (_, i) => at(i));
  const sum = row.reduce((total, value) => total + value, 0);
  if (row.every((value) => value >= 0) && Math.abs(sum - 1) < 0.02) return at;
  const top = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const total = row.reduce((all, value) => all + Math.exp(value - top), 0);
  return (i) => Math.exp(at(i) - top) / total;
}
