// Segmentation: a class per pixel.

import { Segment } from '../metrics/segment.ts';
import { isFloat } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { pickOutput, pickTarget, rowsOf } from './ports.ts';
import type { Task } from './task.ts';

export const segment: Task = {
  name: 'segment',
  main: 'miou',
  shown: ['miou', 'dice', 'pixel_accuracy'],
  collector({ options }) {
    let scores: Segment | undefined;
    return {
      async add(batch, run) {
        const output = pickOutput(await run(batch.feeds), options.output, isMap);
        const labels = rowsOf(pickTarget(batch, 'segment', 'masks'), batch.count);
        const values = rowsOf(output, batch.count);
        const channels = values.length / labels.length;
        const isSingle = channels === 1 && isFloat(output.dtype);
        // One channel says yes or no: by a probability, or by the sign of a logit.
        const isProbability = values.every((value) => value >= 0 && value <= 1);
        scores ??= new Segment(isSingle ? { threshold: isProbability ? 0.5 : 0 } : {});
        const [, ...sides] = output.shape;
        const isLast = sides.length === 3 && sides[2] === channels && sides[0] !== channels;
        const shape = [batch.count, channels, ...(isLast ? sides.slice(0, 2) : sides.slice(-2))];
        const first = isLast ? channelsFirst(values, batch.count, channels) : values;
        scores.add(first, channels === 1 ? [batch.count, ...sides.slice(-2)] : shape, labels);
      },
      finish: () => (scores ?? new Segment()).finish(),
    };
  },
};

/** [N, H, W], with or without an axis of channels. */
function isMap(tensor: Tensor): boolean {
  return tensor.shape.length >= 3;
}

/** [N, pixels, channels] → [N, channels, pixels] */
function channelsFirst(values: Float64Array, count: number, channels: number): Float64Array {
  const size = values.length / count;
  const pixels = size / channels;
  return Float64Array.from(values, (_, i) => {
    const at = i % size;
    return values[i - at + (at % pixels) * channels + Math.floor(at / pixels)] as number;
  });
}
