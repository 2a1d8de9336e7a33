// Errors of model files: what cannot be read, is no model, or cannot be written. Exit code 3.

import { XformError } from './error.ts';

const DOWNLOAD_AGAIN = 'The file may be cut off or damaged; fetch or export it again.';

function problem(
  code: string,
  message: string,
  where?: string,
  hint?: string,
  cause?: unknown,
): XformError {
  return new XformError({
    kind: 'model',
    code,
    message,
    ...(where ? { where } : {}),
    ...(hint ? { hint } : {}),
    ...(cause ? { cause } : {}),
  });
}

export function modelNotFound(path: string): XformError {
  return problem('model-not-found', `there is no file "${path}"`, undefined, 'Check the path.');
}

export function modelIsFolder(path: string): XformError {
  return problem(
    'model-is-folder',
    `"${path}" is a folder, not a model`,
    undefined,
    'Give the path of an .onnx file in it.',
  );
}

/** The system refuses: permissions, I/O errors. */
export function cannotRead(path: string, reason: string, cause?: unknown): XformError {
  return problem('cannot-read', `"${path}" cannot be read: ${reason}`, undefined, undefined, cause);
}

export function modelEmpty(path: string): XformError {
  return problem('model-empty', 'the file is empty', path, DOWNLOAD_AGAIN);
}

export function notAModel(path: string, what: string): XformError {
  return problem('not-a-model', `this is not an ONNX model: ${what}`, path, DOWNLOAD_AGAIN);
}

/** The bytes contradict themselves. */
export function modelBroken(message: string, where: string): XformError {
  return problem('model-broken', message, where, DOWNLOAD_AGAIN);
}

/** Well-formed bytes of a graph that cannot be run: cycles, names made twice or never. */
export function modelUnsound(message: string, where: string, count: number): XformError {
  const all = count === 1 ? 'more about the model' : `all ${count} problems`;
  return problem('model-unsound', message, where, `Run xform inspect to see ${all}.`);
}

export function modelTooDeep(limit: number, where: string): XformError {
  return problem(
    'model-too-deep',
    `messages are nested more than ${limit} levels deep`,
    where,
    'No exporter makes such files; do not trust it.',
  );
}

export function modelTooManyParts(limit: number, where: string): XformError {
  return problem(
    'model-too-many-parts',
    `the model has more than ${limit} nodes, names and attributes`,
    where,
    'No exporter makes such files; do not trust it.',
  );
}

export function fileChanged(path: string): XformError {
  return problem(
    'file-changed',
    `"${path}" was changed while it was being read`,
    undefined,
    'Run again when nothing else writes to it.',
  );
}

/** `owner`: an operator, or a function. */
export function duplicateAttribute(name: string, owner: string, where: string): XformError {
  return problem('duplicate-attribute', `${owner} has the attribute "${name}" twice`, where);
}

const BESIDE = 'External data has to lie in the folder of the model, or below it.';

export function externalOutside(location: string, where: string): XformError {
  return problem(
    'external-data-outside',
    `the data file "${location}" is outside of the model's folder`,
    where,
    `${BESIDE} A model that points elsewhere may be an attack.`,
  );
}

export function externalMissing(location: string, where: string): XformError {
  return problem(
    'external-data-missing',
    `the data file "${location}" is missing`,
    where,
    `Put it beside the model. ${BESIDE}`,
  );
}

export function externalTooShort(
  location: string,
  needed: number,
  size: number,
  where: string,
): XformError {
  return problem(
    'external-data-too-short',
    `the data up to byte ${needed} of "${location}" is wanted, but the file has ${size} bytes`,
    where,
    'It may be cut off, or belong to another model; fetch or export both again.',
  );
}

/** A model that came without a place has no folder to look in. */
export function externalUnavailable(location: string, where: string): XformError {
  return problem(
    'external-data-unavailable',
    `the data file "${location}" cannot be found, because the model was not read from a file`,
    where,
    'Give the path of the model instead of standard input.',
  );
}

export function modelTooLarge(bytes: number, limit: number, hint: string): XformError {
  return problem(
    'model-too-large',
    `the model takes ${bytes} bytes, but one ONNX message holds ${limit} at most`,
    undefined,
    hint,
  );
}

export function cannotWrite(path: string, reason: string, cause?: unknown): XformError {
  return problem(
    'cannot-write',
    `"${path}" cannot be written: ${reason}`,
    undefined,
    'What was there before is untouched.',
    cause,
  );
}

export function nothingQuantized(path: string, reasons: readonly string[]): XformError {
  const shown = reasons.slice(0, 8).join('; ');
  return new XformError({
    kind: 'model',
    code: 'nothing-quantized',
    message: `nothing in "${path}" can be quantised: ${shown || 'it has no operator with weights or an integer kernel'}`,
    where: path,
    hint: 'Run "xform inspect MODEL --layers" to see what it is made of; no file was written.',
  });
}

/** What a command made does not load or run where the original does: it is not written. */
export function resultDoesNotRun(reason: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'result-does-not-run',
    message: `the result does not run, so it was not written: ${reason}`,
    hint: 'Leave the layer it names out with --skip, or take another --mode, --method or --format.',
  });
}

/** NaN or infinity where a scale is to be found. */
export function weightNotFinite(
  tensor: string,
  node: string,
  path: string | undefined,
): XformError {
  return problem(
    'weight-not-finite',
    `weight "${tensor}" of ${node} holds NaN or infinity`,
    path,
    'Nothing can be quantised with it: train or export the model again, or leave the node out with --skip.',
  );
}

/** NaN or infinity in what the calibration data makes of a model. */
export function activationNotFinite(
  value: string,
  node: string,
  path: string | undefined,
): XformError {
  return problem(
    'activation-not-finite',
    `"${value}", which feeds ${node}, holds NaN or infinity for some of the data`,
    path,
    'Check the data with xform verify, or leave the node out with --skip.',
  );
}
