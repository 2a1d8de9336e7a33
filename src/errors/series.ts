// Errors of tables that are read as series.

import { XformError } from './error.ts';

export function noHorizonColumn(): XformError {
  return new XformError({
    kind: 'usage',
    code: 'horizon-label',
    message: '--horizon needs the column that is to be foretold',
    hint: 'Name it with --label; what it is told from, with --features.',
  });
}

export function seriesInputs(inputs: readonly string[]): XformError {
  return new XformError({
    kind: 'data',
    code: 'series-inputs',
    message: `--horizon feeds one input with windows of a series, but the model has ${inputs.length}: ${inputs.join(', ')}`,
  });
}

/** The input takes no whole number of rows, or another one than asked for. */
export function seriesWindow(
  input: string,
  shape: string,
  columns: number,
  asked: number | undefined,
): XformError {
  const windows = asked === undefined ? `windows of rows` : `windows of ${asked} rows`;
  return new XformError({
    kind: 'data',
    code: 'series-window',
    message: `${windows} with ${columns} columns do not fit input "${input}" ${shape}`,
    hint: 'An input takes [N, rows, columns], or [N, rows * columns]; --features chooses columns, and --seq says how many rows where the model leaves it open.',
  });
}

export function seriesTooShort(path: string, rows: number, window: number, horizon: number) {
  return new XformError({
    kind: 'data',
    code: 'series-too-short',
    message: `${rows} rows are fewer than a window of ${window} and the ${horizon} behind it need`,
    where: path,
    hint: 'Give more rows, a smaller --horizon, or another --split.',
  });
}
