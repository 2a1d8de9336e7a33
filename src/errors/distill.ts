// Errors of distillation: what of teachers and students does not go together.

import { XformError } from './error.ts';

export function matchUnknown(name: string, whose: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'unknown-tensor',
    message: `the ${whose} makes no tensor "${name}"`,
    hint: 'Name tensors as "xform inspect MODEL --layers" shows them, as in --match student=teacher.',
  });
}

export function layerNotThere(number: number, whose: string, layers: number): XformError {
  return new XformError({
    kind: 'usage',
    code: 'unknown-layer',
    message: `the ${whose} has no layer ${number}: it has ${layers}, counted from 0`,
    hint: 'Look at the layers with --dry-run, and name others with --layer-map.',
  });
}

export function nothingToMatch(method: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'nothing-to-match',
    message: `method "${method}" found no inner tensors that student and teacher share`,
    hint: 'Name pairs with --match STUDENT=TEACHER, or use --method logits.',
  });
}

export function teacherDoesNotFit(path: string, expected: string, found: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'teacher-does-not-fit',
    message: `teacher "${path}" gives ${found} where the student gives ${expected}`,
    hint: 'Both have to take the same inputs and tell the same classes apart; --head classify:N changes the student.',
  });
}

export function teacherNotFed(
  path: string,
  input: string,
  type: string,
  inputs: string,
): XformError {
  return new XformError({
    kind: 'model',
    code: 'teacher-not-fed',
    message: `teacher "${path}" takes "${input}" ${type}, which the student does not: it takes ${inputs}`,
    hint: 'Both are run on the same samples: export the teacher for inputs that the student has.',
  });
}

/** What teachers say ahead of time is kept sample by sample. */
export function notBySample(tensor: string, shape: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'teacher-not-by-sample',
    message: `"${tensor}" ${shape} of the teacher cannot be kept by sample: its first axis is not the batch`,
    hint: 'Leave out --cache, or match another tensor.',
  });
}

/** What teachers say cannot be known before the run. */
export function cannotCache(reason: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'cannot-cache',
    message: `what teachers say cannot be kept ahead of time: ${reason}`,
    hint: 'Leave out --cache: teachers run inside the training graph then.',
  });
}

export function teacherCacheTooLarge(size: string, room: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'teacher-cache-too-large',
    message: `what teachers say takes ${size}, but ${room}`,
    hint: 'Raise --cache-limit, match fewer tensors, or leave out --augment or --cache.',
  });
}

export function teacherCacheNotWritten(path: string, problem: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'teacher-cache-not-written',
    message: `what teachers say could not be kept in "${path}": ${problem}`,
    hint: 'Name another folder with --cache, or leave it out.',
  });
}
