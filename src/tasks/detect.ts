// Detection: boxes against those of COCO annotations, in pixels of the image.

import type { Batch } from '../data/dataset.ts';
import { noTarget } from '../errors/eval.ts';
import { Detect, type Truth } from '../metrics/detect.ts';
import {
  decode,
  HEADS,
  type HeadName,
  type Placement,
  recogniseHead,
  toOriginal,
} from '../metrics/detection/decode.ts';
import type { InputSize } from '../metrics/detection/output.ts';
import type { Feeds } from '../tensor/feeds.ts';
import { numbersOf } from './ports.ts';
import type { Task } from './task.ts';

/** What `--decode` may say. */
export const HEAD_NAMES = Object.keys(HEADS) as HeadName[];

export const detect: Task = {
  name: 'detect',
  main: 'ap',
  shown: ['ap', 'ap50', 'ap75', 'ar100', 'precision', 'recall', 'f1'],
  collector({ options }) {
    const scores = new Detect();
    let head = options.decode;
    return {
      async add(batch, run) {
        const outputs = outputsOf(await run(batch.feeds));
        const size = inputSize(batch);
        head ??= recogniseHead(outputs, size);
        const found = decode(head, outputs, {
          size,
          scoreThreshold: options.minScore,
          iouThreshold: options.nms,
        });
        const truths = truthsOf(batch);
        const places = placementsOf(batch);
        truths.forEach((truth, i) => {
          const own = (found[i] ?? []).map((one) => toOriginal(one, places[i] as Placement));
          scores.add(own.flat(), truth);
        });
      },
      finish: () => scores.finish(),
    };
  },
};

function outputsOf(outputs: Feeds) {
  return [...outputs].map(([name, tensor]) => {
    return { name, shape: tensor.shape, values: numbersOf(tensor) };
  });
}

/** Of the images that the model sees. */
function inputSize({ feeds }: Batch): InputSize {
  const image = [...feeds.values()].find(({ shape }) => shape.length === 4);
  const [, a = 1, b = 1, c = 1] = image?.shape ?? [];
  return a <= 4 ? { height: b, width: c } : { height: a, width: b };
}

function placementsOf({ targets }: Batch): Placement[] {
  const found = targets.get('placement');
  if (!found) throw noTarget('detect', [...targets.keys()]);
  const values = numbersOf(found);
  return Array.from({ length: values.length / 6 }, (_, i) => {
    const [width = 1, height = 1, x = 1, y = 1, left = 0, top = 0] = values.subarray(i * 6);
    return { scale: [x, y], offset: [left, top], size: { height, width } };
  });
}

function truthsOf({ targets }: Batch): Truth[][] {
  const found = targets.get('truth');
  if (!found) throw noTarget('detect', [...targets.keys()]);
  const [count = 0, most = 0] = found.shape;
  const values = numbersOf(found);
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: most }, (_unused, j) => {
      const [label = -1, x = 0, y = 0, w = 0, h = 0, area = 0, crowd = 0] = values.subarray(
        (i * most + j) * 7,
      );
      const box = [x, y, x + w, y + h] as const;
      return { class: label, box, area, isCrowd: crowd === 1 };
    }).filter((truth) => truth.class >= 0),
  );
}
