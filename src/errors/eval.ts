// Errors of `eval`: outputs and targets that do not tell how they are to be judged, limits not met.

import { XformError } from './error.ts';

export function noSuchOutput(name: string, outputs: readonly string[]): XformError {
  return new XformError({
    kind: 'usage',
    code: 'unknown-output',
    message: `the model has no output "${name}"`,
    hint: `Its outputs are: ${outputs.join(', ')}.`,
  });
}

export function unclearOutput(outputs: readonly string[]): XformError {
  return new XformError({
    kind: 'usage',
    code: 'unclear-output',
    message: 'which of the outputs is to be judged is not clear',
    where: outputs.join('; '),
    hint: 'Name one with --output, or another task with --task.',
  });
}

export function noTarget(task: string, found: readonly string[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'no-target',
    message: `the data has no target${task ? ` for task ${task}` : ''}`,
    where:
      found.length > 0 ? `beside the inputs it has: ${found.join(', ')}` : 'it has inputs only',
    hint: 'Call an array "labels", put images into class folders, or name a column with --label.',
  });
}

export function targetsDoNotFit(task: string, target: string, output: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'targets-do-not-fit',
    message: `the target is ${target}, the output ${output}, which task ${task} cannot hold against each other`,
    hint: 'Name the output with --output, or another task with --task.',
  });
}

export function taskUnknown(tasks: readonly string[], reason: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'task-not-given',
    message: `what the model is to be judged by is not clear: ${reason}`,
    hint: `Name the task with --task: ${tasks.join(', ')}.`,
  });
}

export function noSuchMetric(name: string, metrics: readonly string[]): XformError {
  return new XformError({
    kind: 'usage',
    code: 'unknown-metric',
    message: `there is no metric "${name}" here`,
    hint: `There are: ${metrics.join(', ')}.`,
  });
}

export function worseThanBaseline(
  model: string,
  metric: string,
  values: readonly [baseline: number, found: number],
  limit: number,
): XformError {
  const [before, after] = values.map((value) => value.toFixed(4));
  return new XformError({
    kind: 'limit',
    code: 'max-drop',
    message: `${metric} of "${model}" is ${after}, that of the baseline ${before}: worse by more than --max-drop ${limit}`,
  });
}

export function noSpanOutputs(outputs: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-span-outputs',
    message: `the model does not tell where an answer begins and ends: its outputs are ${outputs.join(', ')}`,
    hint: 'Task qa takes models with outputs start_logits and end_logits, or encoder-decoder models that write.',
  });
}
