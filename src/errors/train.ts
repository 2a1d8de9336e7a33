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

/** No gradient comes back from integers. */
export function noFloatOutput(outputs: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-float-output',
    message: `no output is of floats, so no gradient reaches the weights: the model gives ${outputs.join(', ')}`,
    hint: 'Train the model before its last step (ArgMax, say) was added to it.',
  });
}

/** A node that takes the size of the batch for another one. */
export function batchIsFixed(node: Place, own: number, batch: number): XformError {
  return new XformError({
    kind: 'usage',
    code: 'batch-fixed',
    message: `the model is made for batches of ${own}: its "${node.op}" does not work with ${batch}`,
    where: node.describe(),
    hint: `Give --batch ${own}, and --accumulate ${Math.max(2, Math.round(batch / own))} for updates of more samples.`,
  });
}

/** Sizes do not follow from those of the inputs; `problem`: what inference stumbled over. */
export function outputSizeOpen(
  output: string,
  shape: string,
  problem: string | undefined,
): XformError {
  const because = problem ? `: ${problem}` : '';
  return new XformError({
    kind: 'model',
    code: 'output-size-open',
    message: `training needs every size of the first output, but "${output}" is ${shape} with inputs of these sizes${because}`,
    hint: 'Give data of the size that the model was made for, or fix open dimensions with --set NAME=VALUE.',
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
  const first = tensor
    ? `; "${tensor}" was the first tensor to hold one`
    : ', though all tensors of the model are finite: what is made of its outputs overflows';
  return new XformError({
    kind: 'data',
    code: 'loss-not-finite',
    message: `the loss is NaN or infinite at step ${step}${first}`,
    hint: 'Lower --lr, set --clip 1, or look at the data of that step; the last checkpoint is untouched.',
  });
}

/** The range test of --lr auto saw too little before the loss was no number. */
export function rateUnclear(updates: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'rate-unclear',
    message: `no rate can be chosen: the loss was a number for ${updates} updates of the test only`,
    hint: 'Name a rate with --lr, and look at the data and the weights: the first losses are no numbers.',
  });
}

/** A quantised model: `tensors` matrices of integers. */
export function weightsAreIntegers(path: string, tensors: number): XformError {
  return new XformError({
    kind: 'model',
    code: 'weights-are-integers',
    message: `the weights of "${path}" are integers (${tensors} tensors): a quantised model has no gradients`,
    hint: 'Train the float model it was made from, with --qat int8 for a result that is quantised.',
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

export function pairsNeedEvenBatch(batch: number): XformError {
  return new XformError({
    kind: 'usage',
    code: 'batch-odd',
    message: `a batch of ${batch} cannot hold two views of each sample`,
    hint: 'Give an even --batch: half of it are samples.',
  });
}

export function replayTooSmall(share: number, batch: number): XformError {
  return new XformError({
    kind: 'usage',
    code: 'replay-share',
    message: `a share of ${share} of old samples in a batch of ${batch} leaves no room for either old or new ones`,
    hint: 'Change --replay-share or --batch: a batch needs one sample of each at least.',
  });
}

export function labelOutOfRange(label: number, below: number, sample: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'label-out-of-range',
    message: `sample ${sample} has label ${label}, but the model tells ${below} classes apart (0 … ${below - 1})`,
    hint: 'Change the labels, or give the model a head of its own with --head classify:N; numbers are told with --objective regress.',
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
    hint: 'Name an --objective: classify, regress, clm, mlm, contrastive, reconstruct, detect.',
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

export function imagesNotStandardized(input: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'images-not-standardized',
    message: `--standardize is for columns of numbers, but input "${input}" holds more than rows of them`,
    hint: 'Bring images to one scale with --normalize mean=M,std=S.',
  });
}

export function headNotFound(path: string, found: string | undefined): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-head',
    message: `"${path}" does not end in a product whose classes could be changed${found ? `: found ${found}` : ''}`,
    hint: 'A head is a Gemm, MatMul or 1x1 Conv before the first output: "xform optimize" may lay it open; --expand-classes wants more classes than there are.',
  });
}

/** What an autoencoder gives is as large as what it reads. */
export function notAutoencoder(
  output: string,
  shape: string,
  inputs: readonly string[],
): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-autoencoder',
    message: `to reconstruct its input, "${output}" ${shape} would have to be as large as a float input: ${inputs.join(', ') || 'there is none'}`,
    hint: 'Name another --objective; --objective regress takes a target of its own from the data.',
  });
}

/** EWC asks each sample for its own gradient. */
export function ewcNeedsSamples(): XformError {
  return new XformError({
    kind: 'usage',
    code: 'ewc-objective',
    message: 'elastic weight consolidation needs an objective with a loss of each sample',
    hint: 'Use --replay or --lwf with this objective.',
  });
}

export function fisherNotFound(): XformError {
  return new XformError({
    kind: 'model',
    code: 'ewc-weights',
    message: 'none of the trained weights is one that the model had before',
    hint: 'Leave --ewc out, or change --freeze.',
  });
}

export function detectionOutput(shape: readonly number[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-detector',
    message: `detection needs a first output [N, cells, 5 + classes], not [${shape.join(', ')}]`,
    hint: 'Such an output holds x, y, w, h, objectness and classes of each cell, as YOLOX has it.',
  });
}

export function tokensNeeded(objective: string, shape: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'no-language-model',
    message: `${objective} needs token ids [N, S] and a first output [N, S, V], not ${shape}`,
    hint: 'Such an output scores all tokens at each position; --objective classify fits labels of samples.',
  });
}

export function detectionCells(
  cells: number,
  height: number,
  width: number,
  strides: readonly number[] | undefined,
): XformError {
  const which = strides ? `strides ${strides.join(', ')} do not` : 'no usual strides';
  return new XformError({
    kind: 'usage',
    code: 'detector-strides',
    message: `${which} make the ${cells} cells of the output from images of ${height} x ${width}`,
    hint: 'Give the strides of its levels, finest first, with --strides 8,16,32.',
  });
}

export function nothingToAdapt(path: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'nothing-to-adapt',
    message: `"${path}" has no product that feeds a residual sum, so there is no place for adapters`,
    hint: 'Use --lora RANK, which changes products, convolutions and embeddings anywhere.',
  });
}
