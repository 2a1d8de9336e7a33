// Calibration for commands: the flags, the data, and what the user is told.

import { statSync } from 'node:fs';
import { Flags } from '@oclif/core';
import { CalibrationCache } from '../calibrate/cache.ts';
import { makeCalibration } from '../calibrate/calibrator.ts';
import { METHODS, type Method } from '../calibrate/methods.ts';
import { inputSpecs } from '../data/inputs.ts';
import { openDataset } from '../data/open.ts';
import type { DataOptions } from '../data/options.ts';
import { badFlagValue } from '../errors/usage.ts';
import type { Model } from '../graph/index.ts';
import type { Calibration } from '../passes/quantize/context.ts';
import type { Reporter } from '../report/reporter.ts';
import type { SessionOptions } from '../runtime/options.ts';
import type { Feeds } from '../tensor/feeds.ts';

const group = { helpGroup: 'CALIBRATION' } as const;

export const calibrationFlags = {
  calibrate: Flags.option({ options: METHODS })({
    summary: 'how ranges of activations follow from data',
    default: 'minmax',
    ...group,
  }),
  percentile: Flags.string({
    summary: 'share of the values that method percentile keeps, in per cent',
    default: '99.999',
    helpValue: 'P',
    ...group,
  }),
  samples: Flags.integer({
    summary: 'samples to calibrate on, at most',
    default: 128,
    min: 1,
    helpValue: 'N',
    ...group,
  }),
  'calibration-cache': Flags.string({
    summary: 'keep what was seen in FILE; a run that was stopped goes on there',
    helpValue: 'FILE',
    ...group,
  }),
};

export interface CalibrationFlagValues {
  readonly data?: string | undefined;
  readonly batch?: number | undefined;
  readonly calibrate: Method;
  readonly percentile: string;
  readonly samples: number;
  readonly 'calibration-cache'?: string | undefined;
}

interface CalibrationInput {
  readonly flags: CalibrationFlagValues;
  readonly dataOptions: DataOptions;
  /** Of activations. */
  readonly bits: number;
  readonly session: SessionOptions;
  readonly reporter: Reporter;
}

export interface OpenedCalibration {
  readonly calibration: Calibration;
  /** What was read and what was applied to it. */
  readonly summary: string;
}

/** Random data without an end: so many samples say what there is to say. */
const NOISE_SAMPLES = 16;

/** Undefined where no data was given. */
export async function openCalibration(
  model: Model,
  input: CalibrationInput,
): Promise<OpenedCalibration | undefined> {
  const { flags, dataOptions, reporter } = input;
  const { data } = flags;
  if (data === undefined) return undefined;
  const isNoise = data === 'random';
  const limit = dataOptions.limit ?? (isNoise ? NOISE_SAMPLES : flags.samples);
  const options = { ...dataOptions, limit };
  const dataset = await openDataset(data, inputSpecs(model), options);
  if (isNoise) {
    const message =
      'ranges were calibrated on random numbers, which are not what the model will see: the result is for a trial only';
    reporter.warn({ code: 'calibrated-on-noise', message });
  }
  const size = flags.batch ?? 1;
  async function* batches(): AsyncIterable<Feeds> {
    for await (const batch of dataset.batches(size)) yield batch.feeds;
  }
  const path = flags['calibration-cache'];
  const cache =
    path === undefined
      ? undefined
      : new CalibrationCache({
          path,
          data: `${describe(data)} ${JSON.stringify({ ...options, size })}`,
          onStale: (file) => {
            const message = `"${file}" was made for another model, other data or other settings, and is made anew`;
            reporter.warn({ code: 'calibration-cache-stale', message });
          },
        });
  let step: ReturnType<Reporter['step']> | undefined;
  let done = 0;
  const total = dataset.length === undefined ? undefined : Math.ceil(dataset.length / size);
  const calibration = makeCalibration({
    data,
    batches,
    session: input.session,
    cache,
    method: flags.calibrate,
    percentile: parsePercentile(flags.percentile),
    bits: input.bits,
    onBatch: () => {
      step ??= reporter.step('calibrating', total);
      step.advance();
      done += 1;
      if (done !== total) return;
      step.done();
      step = undefined;
      done = 0;
    },
  });
  return { calibration, summary: dataset.summary };
}

/** A path with what tells one version of a file from another. */
function describe(data: string): string {
  const found = statSync(data, { throwIfNoEntry: false });
  return found ? `${data} ${found.size} ${found.mtimeMs}` : data;
}

function parsePercentile(text: string): number {
  const value = Number(text);
  if (value > 50 && value <= 100) return value;
  throw badFlagValue('percentile', text, 'a number above 50, up to 100, as in 99.99');
}
