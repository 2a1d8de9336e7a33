// Detection: boxes against those of COCO annotations, in pixels of the image.

import type { Batch } from '../data/dataset.ts';
import { noTarget } from '../errors/eval.ts';
import { DetectScores, type Found, type Truth } from '../metrics/detect.ts';
import { type DecodeInput, headFor } from './boxes/heads.ts';
import { type Box, suppress } from './boxes/nms.ts';
import { numbersOf } from './ports.ts';
import type { Task } from './task.ts';

export const detect: Task = {
  name: 'detect',
  main: 'ap',
  shown: ['ap', 'ap50', 'ap75', 'ar100', 'precision', 'recall', 'f1'],
  collector({ dataset, options }) {
    const scores = new DetectScores(dataset.classes?.length ?? 1);
    return {
      async add(batch, run) {
        const input: DecodeInput = {
          outputs: await run(batch.feeds),
          count: batch.count,
          minScore: options.minScore,
          ...inputSize(batch),
        };
        const head = headFor(input, options.decode);
        const truth = truthOf(batch);
        const places = placementsOf(batch);
        head.decode(input).forEach((boxes, i) => {
          const kept = head.isFinal ? boxes : suppress(boxes, options.nms);
          const place = places[i] as Placement;
          scores.add(
            kept.map((box) => toImage(box, place)),
            truth[i] ?? [],
          );
        });
      },
      finish: () => scores.finish(),
    };
  },
};

/** Of the images that the model sees. */
function inputSize({ feeds }: Batch): { width: number; height: number } {
  const image = [...feeds.values()].find(({ shape }) => shape.length === 4);
  const [, a = 1, b = 1, c = 1] = image?.shape ?? [];
  return a <= 4 ? { height: b, width: c } : { height: a, width: b };
}

interface Placement {
  readonly width: number;
  readonly height: number;
  readonly scaleX: number;
  readonly scaleY: number;
  readonly left: number;
  readonly top: number;
}

function placementsOf({ targets }: Batch): Placement[] {
  const found = targets.get('placement');
  if (!found) throw noTarget('detect', [...targets.keys()]);
  const values = numbersOf(found);
  return Array.from({ length: values.length / 6 }, (_, i) => {
    const [width = 1, height = 1, scaleX = 1, scaleY = 1, left = 0, top = 0] = values.subarray(
      i * 6,
      i * 6 + 6,
    );
    return { width, height, scaleX, scaleY, left, top };
  });
}

function truthOf({ targets }: Batch): Truth[][] {
  const found = targets.get('truth');
  if (!found) throw noTarget('detect', [...targets.keys()]);
  const [count = 0, most = 0] = found.shape;
  const values = numbersOf(found);
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: most }, (_unused, j) => {
      const at = (i * most + j) * 7;
      const [label = -1, x = 0, y = 0, width = 0, height = 0, area = 0, crowd = 0] =
        values.subarray(at, at + 7);
      const box = [x, y, width, height] as const;
      return { label, box, area, isCrowd: crowd === 1 };
    }).filter(({ label }) => label >= 0),
  );
}

/** Out of the letterbox, back to the image, cut at its border. */
function toImage(box: Box, place: Placement): Found {
  const x = (value: number) => clip((value - place.left) / place.scaleX, place.width);
  const y = (value: number) => clip((value - place.top) / place.scaleY, place.height);
  const [x1, y1, x2, y2] = [x(box.x1), y(box.y1), x(box.x2), y(box.y2)];
  return { label: box.label, score: box.score, box: [x1, y1, x2 - x1, y2 - y1] };
}

function clip(value: number, most: number): number {
  return Math.min(most, Math.max(0, value));
}
