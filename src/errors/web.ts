// Errors of onnxruntime-web: what it refuses, and what it needs that is not installed.

import { XformError } from './error.ts';

/** It would not load or run a model. `message` is its own, cleaned. */
export function webRefused(
  runner: string,
  doing: 'load' | 'run',
  message: string,
  place: { readonly model: string; readonly node?: string | undefined },
): XformError {
  return new XformError({
    kind: 'model',
    code: 'web-runtime',
    message: `onnxruntime-web, ${runner}, cannot ${doing} the model: ${message}`,
    where: [place.model, place.node && `node "${place.node}"`].filter(Boolean).join(': '),
  });
}

/** The process or page is gone. */
export function webStopped(runner: string, reason: string, model: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'web-runtime-died',
    message: `onnxruntime-web, ${runner}, stopped before it had answered: ${reason}`,
    where: model,
    hint: 'WebAssembly has at most 4 GB of memory, for the weights and everything that is computed.',
  });
}

/** Of the whole set only the float model could be made. */
export function nothingForTheWeb(model: string, reasons: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'nothing-quantized',
    message: `no quantised file could be made of "${model}": ${reasons.join('; ')}`,
    where: model,
    hint: 'Run "xform inspect MODEL --layers" to see what the model is made of.',
  });
}

export function noModelsIn(folder: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'no-models',
    message: `"${folder}" holds no .onnx file to begin with`,
    where: folder,
    hint: 'Name a float model, or a folder with some; files such as model_q4.onnx are results.',
  });
}
