// Errors of executing a model: what onnxruntime refuses, and what cannot be handed to or from it.
// Exit code 3.

import { XformError } from './error.ts';

interface Place {
  /** The model's file. */
  readonly model?: string | undefined;
}

/** onnxruntime would not load or run a model. `message` is its own, cleaned. */
export function runtimeRefused(
  doing: 'load' | 'run',
  message: string,
  place: Place & { readonly node?: string | undefined },
): XformError {
  const where = [place.model, place.node && `node "${place.node}"`].filter(Boolean).join(': ');
  return new XformError({
    kind: 'model',
    code: 'runtime',
    message: `onnxruntime cannot ${doing} the model: ${message}`,
    ...(where ? { where } : {}),
  });
}

/** The thread that executes is gone. */
export function runtimeDied(reason: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'runtime-died',
    message: `onnxruntime stopped before it had answered: ${reason}`,
    hint: 'Smaller batches (--batch 1) or fewer threads need less memory.',
  });
}

export function unknownFeed(name: string, known: readonly string[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'unknown-input',
    message: `the model has no input "${name}"`,
    hint: `Its inputs are ${list(known)}.`,
  });
}

export function missingFeed(name: string, type: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'missing-input',
    message: `nothing feeds input "${name}", which takes ${type}`,
  });
}

export function wrongFeed(name: string, expected: string, actual: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'wrong-input',
    message: `input "${name}" takes ${expected}, but the data is ${actual}`,
  });
}

export function unknownOutput(name: string, known: readonly string[]): XformError {
  return new XformError({
    kind: 'model',
    code: 'unknown-output',
    message: `the model has no output "${name}"`,
    hint: `Its outputs are ${list(known)}.`,
  });
}

/** A value that onnxruntime-node has no way to hand over. */
export function cannotCross(
  side: 'input' | 'output',
  name: string,
  type: string,
  place: Place = {},
): XformError {
  return new XformError({
    kind: 'model',
    code: 'unsupported-type',
    message: `${side} "${name}" is ${type}, which onnxruntime-node cannot hand over`,
    ...(place.model ? { where: place.model } : {}),
  });
}

/** A value that a run was asked for, but that is nowhere in the main graph. */
export function unknownValue(name: string): XformError {
  return new XformError({
    kind: 'model',
    code: 'unknown-value',
    message: `no node of the main graph makes "${name}"`,
  });
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 12).map((name) => `"${name}"`);
  if (names.length > shown.length) shown.push(`${names.length - shown.length} more`);
  return shown.join(', ');
}
