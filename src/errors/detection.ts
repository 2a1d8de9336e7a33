// Errors of reading a detector's outputs. Exit codes 2 and 3.

import { XformError } from './error.ts';

interface Shaped {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Outputs that look like none, or several, of the known heads. */
export function unclearHead(
  outputs: readonly Shaped[],
  fitting: readonly string[],
  heads: readonly string[],
): XformError {
  const list = outputs.map(({ name, shape }) => `"${name}" [${shape.join(', ')}]`).join(', ');
  return new XformError({
    kind: 'usage',
    code: 'detection-head-unclear',
    message:
      fitting.length > 1
        ? `the outputs could be those of ${fitting.join(' or ')}: ${list}`
        : `the outputs are those of no known kind of detector: ${list}`,
    hint: `Say which kind it is, one of: ${(fitting.length > 1 ? fitting : heads).join(', ')}.`,
  });
}

export function headDoesNotFit(head: string, wanted: string, outputs: readonly Shaped[]) {
  const list = outputs.map(({ name, shape }) => `"${name}" [${shape.join(', ')}]`).join(', ');
  return new XformError({
    kind: 'model',
    code: 'detection-head',
    message: `a detector of the kind "${head}" has ${wanted}, but the outputs are ${list}`,
    hint: 'Name another kind, or leave it to be recognised.',
  });
}
