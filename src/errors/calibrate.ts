// Errors of calibration. Exit code 3.

import { XformError } from './error.ts';

/** NaN or infinity in an activation: no range covers it. */
export function notFinite(value: string, maker: string | undefined, batch: number): XformError {
  return new XformError({
    kind: 'data',
    code: 'not-finite',
    message: `value "${value}" holds NaN or infinity in batch ${batch + 1} of the calibration data`,
    ...(maker ? { where: maker } : {}),
    hint: 'Look at this sample, or leave the node out with --skip.',
  });
}

/** A mode that needs to see activations was given no data. */
export function noCalibrationData(what: string): XformError {
  return new XformError({
    kind: 'usage',
    code: 'no-calibration-data',
    message: `${what} needs calibration data, and none was given`,
    hint: 'Give samples like those the model will see with --data PATH (.npz, .npy, .csv, idx, a folder of test data); --data random works for a trial, with a warning.',
  });
}

export function noSamples(path: string): XformError {
  return new XformError({
    kind: 'data',
    code: 'no-samples',
    message: `"${path}" holds no samples to calibrate on`,
    where: path,
  });
}
