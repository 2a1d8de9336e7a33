// Segmentation: a class per pixel.

import { targetsDoNotFit } from '../errors/eval.ts';
import { SegmentScores } from '../metrics/segment.ts';
import { isFloat } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { pickOutput, pickTarget, rowsOf } from './ports.ts';
import type { Task } from './task.ts';

export const segment: Task = {
  name: 'segment',
  main: 'miou',
  shown: ['miou', 'dice', 'pixel_accuracy'],
  collector({ options }) {
    let scores: SegmentScores | undefined;
    return {
      async add(batch, run) {
        const output = pickOutput(await run(batch.feeds), options.output, isMap);
        const target = pickTarget(batch, 'segment', 'masks');
        const truth = rowsOf(target, batch.count);
        const pixels = truth.length / batch.count;
        const values = rowsOf(output, batch.count);
        const classes = values.length / truth.length;
        const isLabels = !isFloat(output.dtype) && classes === 1;
        if (!Number.isInteger(classes)) {
          const words = [target, output].map(({ shape }) => `[${shape.join(', ')}]`);
          throw targetsDoNotFit('segment', words[0] as string, words[1] as string);
        }
        const labels = isLabels ? values : largestOfPixels(values, classes, pixels, output);
        const count = isLabels ? 1 + Math.max(...labels, ...truth) : Math.max(2, classes);
        scores ??= new SegmentScores(count);
        for (let i = 0; i < batch.count; i++) {
          const part = (from: ArrayLike<number>) =>
            Array.prototype.slice.call(from, i * pixels, (i + 1) * pixels) as number[];
          scores.add(part(labels), part(truth));
        }
      },
      finish: () => (scores ?? new SegmentScores(2)).finish(),
    };
  },
};

function isMap(tensor: Tensor): boolean {
  return tensor.shape.length >= 3;
}

/** Scores [N, C, pixels] or [N, pixels, C]; a single channel says yes or no. */
function largestOfPixels(
  values: Float64Array,
  classes: number,
  pixels: number,
  { shape }: Tensor,
): Int32Array {
  const samples = values.length / classes / pixels;
  if (classes === 1) {
    const isProbability = values.every((value) => value >= 0 && value <= 1);
    return Int32Array.from(values, (value) => (value > (isProbability ? 0.5 : 0) ? 1 : 0));
  }
  const isLast = shape.at(-1) === classes && shape[1] !== classes;
  const [stepC, stepPixel] = isLast ? [1, classes] : [pixels, 1];
  return Int32Array.from({ length: samples * pixels }, (_, i) => {
    const start = Math.floor(i / pixels) * pixels * classes + (i % pixels) * stepPixel;
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if ((values[start + c * stepC] as number) > (values[start + best * stepC] as number))
        best = c;
    }
    return best;
  });
}
