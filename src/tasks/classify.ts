// Classification: one output with a score per class; one label per sample, or zeros and ones for several.

import { targetsDoNotFit } from '../errors/eval.ts';
import { Classify } from '../metrics/classify.ts';
import { isClassScores, pickOutput, pickTarget, rowsOf } from './ports.ts';
import type { Task } from './task.ts';

export const classify: Task = {
  name: 'classify',
  main: 'accuracy',
  shown: ['accuracy', 'top5', 'precision', 'recall', 'f1', 'f1_macro', 'auroc', 'loss', 'ece'],
  collector({ options }) {
    const scores = new Classify({ topK: [...new Set([5, options.topK])] });
    return {
      async add(batch, run) {
        const output = pickOutput(await run(batch.feeds), options.output, isClassScores);
        const target = pickTarget(batch, 'classify');
        if (target.dtype === 'string') {
          throw targetsDoNotFit('classify', 'text', `scores [${output.shape.join(', ')}]`);
        }
        const shape = [batch.count, ...output.shape.slice(1)];
        scores.add(rowsOf(output, batch.count), shape, rowsOf(target, batch.count));
      },
      finish: () => scores.finish(),
    };
  },
};
