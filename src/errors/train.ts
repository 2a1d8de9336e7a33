// Errors of training. Exit code 3: the model cannot be trained as it is.

import { XformError } from './error.ts';

interface Place {
  readonly op: string;
  describe(): string;
}

const SHOWN = 5;

/** An operator without a gradient on the way from weights to the loss. */
export function cutOff(node: Place, weights: readonly string[]): XformError {
  const shown = weights.slice(0, SHOWN).map((name) => `"${name}"`);
  const rest = weights.length > SHOWN ? ` and ${weights.length - SHOWN} more` : '';
  return new XformError({
    kind: 'model',
    code: 'no-gradient',
    message: `"${node.op}" has no gradient, so what is before it cannot be trained: ${shown.join(', ')}${rest}`,
    where: node.describe(),
    hint: 'Freeze these weights with --freeze, or replace the node.',
  });
}

export function gradientNeedsShape(node: Place, value: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'gradient-needs-shape',
    message: `the gradient of "${node.op}" needs the shape of "${value}", which is not known before the run`,
    where: node.describe(),
    hint: 'Fix open dimensions with --set NAME=VALUE.',
  });
}

export function noGradientOfForm(node: Place, form: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-gradient',
    message: `${form} has no gradient`,
    where: node.describe(),
    hint: 'Freeze what is before it with --freeze, or replace the node.',
  });
}

export function badCheckpoint(path: string, problem: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'bad-checkpoint',
    message: `"${path}" is no checkpoint to go on from: ${problem}`,
    hint: 'Name the file that --checkpoint wrote, or start anew without --resume.',
  });
}

/** Disk full, no permission: what stood there before still stands. */
export function checkpointNotWritten(path: string, problem: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'checkpoint-not-written',
    message: `the checkpoint "${path}" could not be written: ${problem}`,
    hint: 'The previous checkpoint, if there was one, is untouched: make room and use --resume.',
  });
}

/** The loss is no number. */
export function lossNotFinite(step: number, tensor: string | undefined): XformError {
  const first = tensor ? `; "${tensor}" was the first tensor to hold one` : '';
  return new XformError({
    kind: 'data',
    code: 'loss-not-finite',
    message: `the loss is NaN or infinite at step ${step}${first}`,
    hint: 'Lower --lr, set --clip 1, or look at the data of that step; the last checkpoint is untouched.',
  });
}

export function nothingTrainable(path: string, reasons: readonly string[]): XformError {
  const shown = reasons.length > 0 ? `: ${reasons.slice(0, SHOWN).join('; ')}` : '';
  return new XformError({
    kind: 'model',
    code: 'nothing-trainable',
    message: `nothing in "${path}" can be trained${shown}`,
    hint: 'Run "xform inspect MODEL --layers" to see its weights; look at --freeze.',
  });
}

export function batchTooLarge(batch: number, samples: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'batch-too-large',
    message: `a batch of ${batch} is larger than the data, which has ${samples} samples`,
    hint: `Give --batch ${Math.max(1, samples)} or less.`,
  });
}

export function labelOutOfRange(label: number, below: number, sample: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'label-out-of-range',
    message: `sample ${sample} has label ${label}, but the model tells ${below} classes apart (0 … ${below - 1})`,
    hint: 'Change the labels, or give the model a head of its own with --head classify:N.',
  });
}

export function targetMissing(name: string, found: readonly string[]): XformError {
  const has =
    found.length > 0 ? `it has ${found.map((one) => `"${one}"`).join(', ')}` : 'it has none';
  return new XformError({
    kind: 'data',
    code: 'target-missing',
    message: `the data has no "${name}" to train on; beside the inputs ${has}`,
    hint: 'Name the column with --label, or choose an --objective that needs none (clm, reconstruct, contrastive).',
  });
}

export function targetShape(name: string, expected: string, found: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'target-shape',
    message: `"${name}" of the data is ${found}, but the objective needs ${expected} for each sample`,
    hint: 'Choose the --objective that fits the data, or another --label.',
  });
}

export function inputNotStatic(input: string, shape: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'input-size-open',
    message: `training needs every size of the inputs, but "${input}" is ${shape}`,
    hint: 'Fix open dimensions with --set NAME=VALUE.',
  });
}

/** Endless or unordered data: random noise, ONNX test data. */
export function dataHasNoOrder(summary: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'data-without-order',
    message: `training needs data with a number of samples to choose from, not ${summary}`,
    hint: 'Give arrays, images, a table or text with --data.',
  });
}

export function objectiveUnclear(targets: readonly string[]): XformError {
  const has = targets.length > 0 ? targets.map((one) => `"${one}"`).join(', ') : 'no target';
  return new XformError({
    kind: 'usage',
    code: 'objective-unclear',
    message: `data with ${has} does not say what to train for`,
    hint: 'Name an --objective: classify, regress, clm, mlm, contrastive, reconstruct.',
  });
}

export function requireTrainingData(): XformError {
  return new XformError({
    kind: 'usage',
    code: 'no-data',
    message: 'training needs data',
    hint: 'Name it with --data: arrays (.npz), a table (.csv), images, text.',
  });
}

export function headNotFound(path: string, found: string | undefined): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-head',
    message: `"${path}" does not end in a product whose classes could be changed${found ? `: found ${found}` : ''}`,
    hint: 'A head is a Gemm, MatMul or 1x1 Conv before the first output; --expand-classes wants more classes than there are.',
  });
}

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
