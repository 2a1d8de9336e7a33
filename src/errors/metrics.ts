// Errors of scoring: outputs and targets that do not fit each other. Exit code 3.

import { XformError } from './error.ts';

/** Two arrays that have to be about the same samples. */
export function scoredShapesDiffer(
  task: string,
  found: readonly [name: string, shape: readonly number[]],
  targets: readonly [name: string, shape: readonly number[]],
): XformError {
  const [a, b] = [found, targets].map(([name, shape]) => `${name} [${shape.join(', ')}]`);
  return new XformError({
    kind: 'data',
    code: 'metrics-shape',
    message: `the task "${task}" cannot score ${a} against ${b}`,
    hint: 'Both have to be about the same samples, one row each.',
  });
}

export function labelOutOfRange(label: number, classes: number, sample: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'metrics-label',
    message: `sample ${sample} has label ${label}, but the model has ${classes} classes`,
    hint: `Labels are whole numbers from 0 to ${classes - 1}.`,
  });
}

export function notANumber(task: string, sample: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'metrics-nan',
    message: `the model's output for sample ${sample} is not a number, so the task "${task}" cannot be scored`,
    hint: 'Look for the first tensor that is no number with "xform verify --layers".',
  });
}
