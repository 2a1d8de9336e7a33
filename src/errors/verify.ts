// What `verify` says when two models are not, or cannot be, the same function.

import { XformError } from './error.ts';

/** The limit that `verify` stands for: exit code 4. */
export function modelsDiffer(
  a: string,
  b: string,
  reasons: readonly string[],
  sawLayers: boolean,
): XformError {
  return new XformError({
    kind: 'limit',
    code: 'models-differ',
    message: `"${a}" and "${b}" are not the same function: ${reasons.join('; ')}`,
    hint: sawLayers
      ? 'Allow more with --rtol and --atol, if that much is expected.'
      : 'Run with --layers to see where they part, or allow more with --rtol and --atol.',
  });
}

export function inputsDiffer(
  a: readonly [path: string, inputs: readonly string[]],
  b: readonly [path: string, inputs: readonly string[]],
): XformError {
  const list = ([path, inputs]: typeof a) =>
    `"${path}" takes ${inputs.length} (${inputs.join(', ')})`;
  return new XformError({
    kind: 'model',
    code: 'inputs-differ',
    message: `the models have different inputs: ${list(a)}, but ${list(b)}`,
    hint: 'Models can be compared when each input of one has a counterpart in the other.',
  });
}

export function nothingToCompare(a: string, b: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'nothing-to-compare',
    message: `no output of "${a}" has a counterpart in "${b}" that can be read`,
  });
}

export function cannotFeed(path: string, inputs: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'input-not-a-tensor',
    message: `no tensor can feed ${inputs.join(', ')}`,
    where: path,
  });
}
