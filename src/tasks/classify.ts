// Classification: one output with a score per class, one label per sample.

import { targetsDoNotFit } from '../errors/eval.ts';
import { ClassifyScores } from '../metrics/classify.ts';
import { isInteger } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { isClassScores, pickOutput, pickTarget, rowsOf } from './ports.ts';
import type { Task } from './task.ts';

export const classify: Task = {
  name: 'classify',
  main: 'accuracy',
  shown: ['accuracy', 'top5', 'f1_macro', 'auroc', 'loss', 'calibration_error'],
  collector({ options }) {
    let scores: ClassifyScores | undefined;
    return {
      async add(batch, run) {
        const output = pickOutput(await run(batch.feeds), options.output, isClassScores);
        const target = pickTarget(batch, 'classify');
        const found = asTwo(rowsOf(output, batch.count), batch.count);
        const classes = found.length / batch.count;
        scores ??= new ClassifyScores({ classes, topK: options.topK });
        scores.add(found, labelsOf(target, batch.count, classes));
      },
      finish: () => (scores ?? new ClassifyScores({ classes: 1, topK: 1 })).finish(),
    };
  },
};

/** A single score speaks for the second of two classes: a probability, or a logit. */
function asTwo(values: Float64Array, count: number): Float64Array {
  if (values.length !== count) return values;
  const isProbability = values.every((value) => value >= 0 && value <= 1);
  return Float64Array.from({ length: 2 * count }, (_, i) => {
    const value = values[i >> 1] as number;
    if (i % 2 === 1) return value;
    return isProbability ? 1 - value : 0;
  });
}

function labelsOf(target: Tensor, count: number, classes: number): number[] {
  const labels = target.dtype === 'string' ? [] : [...rowsOf(target, count)];
  const fit = labels.every((label) => Number.isInteger(label) && label >= 0 && label < classes);
  if (labels.length === count && fit) return labels;
  const what =
    isInteger(target.dtype) && labels.length === count ? `up to ${Math.max(...labels)}` : '';
  throw targetsDoNotFit(
    'classify',
    `${target.dtype} [${target.shape.join(', ')}] ${what}`.trim(),
    `scores of ${classes} classes`,
  );
}
